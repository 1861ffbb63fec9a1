"""AutoTTS: discover how a language model should spend its test-time compute."""
