"""Every failure of the endpoint as OpenAI's SDK raises it: blocking and not, streaming and not."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.serving import Stub, served
from tests.test_serve import ASK, client, until, user

SDK_ERRORS: dict[str, tuple[dict[str, Any], type[openai.APIError]]] = {
    "the request": ({"extra_body": {"beta": 2}}, openai.BadRequestError),
    "a question too long": ({"messages": user("1 fail=long")}, openai.BadRequestError),
    "the model": ({"model": "gpt"}, openai.NotFoundError),
    "the key": ({"extra_headers": {"authorization": "Bearer wrong"}}, openai.AuthenticationError),
    "no place": ({}, openai.RateLimitError),
    "the program": ({"messages": user("1 fail=program")}, openai.InternalServerError),
    "the upstream is down": ({"messages": user("1 fail=down")}, openai.InternalServerError),
    "the upstream is silent": ({"messages": user("1 fail=silent")}, openai.InternalServerError),
    "the server's time": ({"messages": user("1 sleep=60")}, openai.InternalServerError),
    "the client's time": ({"messages": user("1 sleep=60"), "timeout": 0.2}, openai.APITimeoutError),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", SDK_ERRORS)
async def test_the_sdk_raises_what_it_has_for_each_failure(case: str, stream: bool) -> None:
    more, kind = SDK_ERRORS[case]
    stub = Stub()
    full = {"concurrency": 1, "queue": 0} if case == "no place" else {}
    async with served(stub, key="secret", timeout=1, **full) as serving, client(serving, "secret") as sdk:
        if full:
            first = asyncio.create_task(sdk.chat.completions.create(model="m", messages=user("1 sleep=0.9")))
            await until(lambda: stub.open == 1)
        with pytest.raises(kind) as told:
            await sdk.chat.completions.create(**{**ASK, **more}, stream=stream)
        blocking = openai.OpenAI(base_url=serving.url, api_key="secret", max_retries=0)
        with blocking, pytest.raises(kind) as told_to_who_blocks:
            await asyncio.to_thread(blocking.chat.completions.create, **{**ASK, **more}, stream=stream)
        if full:
            await first
        await until(lambda: stub.open == serving.service.gate.running == 0)
    assert type(told.value) is type(told_to_who_blocks.value) is kind
    if kind is not openai.APITimeoutError:
        assert isinstance(told.value.body, dict) and set(told.value.body) == {"message", "type", "param", "code"}
