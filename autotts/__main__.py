"""`python -m autotts`."""

from autotts.cli import main

if __name__ == "__main__":
    main()
