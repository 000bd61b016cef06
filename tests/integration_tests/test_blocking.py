"""No call blocks the event loop, not even the first one, which imports what is needed: blockbuster would raise."""

import pytest

from langchain_darkai.testing import ReceivedCall, reply
from langchain_darkai.testing.wire import Step
from tests.support.asker import Serve
from tests.support.programs import run

pytestmark = pytest.mark.slow

STRICT = """
from blockbuster import blockbuster_ctx
{before}

def get_weather(city: str) -> str:
    "Get the weather."
    return city

SCHEMA = {{"title": "Person", "type": "object", "properties": {{"name": {{"type": "string"}}}}, "required": ["name"]}}

async def main():
    with blockbuster_ctx():
        {call}

asyncio.run(main())
"""

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def answer_to(request: ReceivedCall) -> list[Step]:
    return reply(CALL if "<tools>" in request.query else '{"name":"Ann"}')


@pytest.mark.parametrize(
    ("call", "printed"),
    [
        ('print((await model.ainvoke("Hi")).text)', '{"name":"Ann"}'),
        ('print("".join([chunk.text async for chunk in model.astream("Hi")]))', '{"name":"Ann"}'),
        ('print((await model.abatch(["a", "b", "c"]))[2].text)', '{"name":"Ann"}'),
        ('print(await first(client.stream(client.call("Hi")))); await client.aclose()', '{"name":"Ann"}'),
        ('print((await model.ainvoke("Hi", response_format=SCHEMA)).text)', '{"name":"Ann"}'),
        (
            'print("".join([chunk.text async for chunk in model.astream("Hi", response_format=SCHEMA)]))',
            '{"name":"Ann"}',
        ),
        ('print((await model.bind_tools([get_weather]).ainvoke("Hi")).tool_calls[0]["name"])', "get_weather"),
        (
            'model.base_url = url.replace("127.0.0.1", "localhost"); print((await model.ainvoke("Hi")).text)',
            '{"name":"Ann"}',
        ),
    ],
)
def test_the_first_call_does_not_block_the_loop(serve: Serve, call: str, printed: str) -> None:
    assert "".join(run(serve(answer_to), STRICT.format(call=call, before=""))) == printed


IN_A_HANDLER = """
from aiohttp import ClientSession, web

async def handle(request):
    whole = (await model.ainvoke("Hi")).text
    pieces = [chunk.text async for chunk in model.astream("Hi")]
    return web.Response(text=whole + "".join(pieces))

async def ask():
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with ClientSession() as session, session.get("http://127.0.0.1:%d" % runner.addresses[0][1]) as reply:
        print(await reply.text())
    await runner.cleanup()
"""


def test_a_handler_of_an_aiohttp_server_does_not_block_its_loop(serve: Serve) -> None:
    assert run(serve(reply("Hello")), STRICT.format(call="await ask()", before=IN_A_HANDLER)) == ["HelloHello"]
