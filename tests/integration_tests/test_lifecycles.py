"""Event loops, threads, processes and exits: calls work, print no complaint, and leave nothing open or alive.

Code that could complain at the end of its process, or to standard error, runs in a process of its own, in Python's
development mode and with warnings as errors.
"""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import psutil
import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler

from langchain_darkai import DarkAI, DarkAIError
from langchain_darkai.protocol import StreamEnd
from tests.support.asker import ENTRIES, Asker, ModelOf, Serve
from tests.support.programs import run
from tests.support.scripted_server import (
    CLOSE,
    END,
    HOLD,
    RESET,
    STREAM,
    Request,
    Step,
    answer,
    chunk,
    reply,
    text,
)

pytestmark = pytest.mark.slow

FOR_EVER: list[Step] = [STREAM + chunk(text("Hel")), HOLD]


class TestLoops:
    def test_asyncio_run_works_again_and_again_and_with_what_the_last_one_left(self, serve: Serve) -> None:
        def script(request: Request) -> list[Step]:
            return FOR_EVER if request.query == "for ever" else reply("Hello")

        code = """
            left = []

            async def main():
                left.append(model.astream("for ever"))
                left.append(client.stream(client.call("for ever")))
                left.append(client.create_async_generator(None, [{"role": "user", "content": "for ever"}]))
                for stream in left[-3:]:
                    await first(stream)
                async for chunk in model.astream("for ever"):
                    break
                pending = asyncio.create_task(model.ainvoke("for ever"))
                await asyncio.sleep(0.05)
                return (await model.ainvoke("Hi")).text

            for _ in range(4):
                print(asyncio.run(main()))
                print(model.invoke("Hi").text)
            print(asyncio.run(main(), debug=True))
        """
        assert run(serve(script), code) == ["Hello"] * 9

    def test_loops_that_are_just_closed_leave_nothing_behind(self, serve: Serve) -> None:
        def script(request: Request) -> list[Step]:
            if request.query == "for ever":
                return FOR_EVER
            return [STREAM + chunk(text("Hello") + b'data: {"event": "stream-end"}\n\n'), HOLD]

        code = """
            for _ in range(4):
                loop = asyncio.new_event_loop()
                print(loop.run_until_complete(model.ainvoke("Hi")).text)
                left = client.stream(client.call("for ever"))
                loop.run_until_complete(first(left))
                loop.close()
                del loop, left
                gc.collect()
            print(asyncio.run(model.ainvoke("Hi")).text)
            last = asyncio.new_event_loop()
            print(last.run_until_complete(model.ainvoke("Hi")).text)
        """
        assert run(serve(script), code + "    last.close()\n") == ["Hello"] * 6

    def test_threads_with_loops_of_their_own_and_threads_with_synchronous_calls(self, serve: Serve) -> None:
        code = """
            from concurrent.futures import ThreadPoolExecutor

            async def several():
                texts = [message.text for message in await model.abatch(["Hi"] * 5)]
                await first(model.astream("Hi"))
                return texts

            def work(n):
                if n % 2:
                    return asyncio.run(several())
                next(model.stream("Hi"))
                return [model.invoke("Hi").text, *(m.text for m in model.batch(["Hi"] * 4))]

            with ThreadPoolExecutor(12) as threads:
                for texts in threads.map(work, range(24)):
                    print(*texts)
        """
        assert run(serve(reply("Hello")), code) == ["Hello"] * 120

    def test_synchronous_calls_work_in_a_running_loop(self, serve: Serve) -> None:
        code = """
            async def main():
                print(model.invoke("Hi").text, "".join(chunk.text for chunk in model.stream("Hi")))
                print(*(message.text for message in model.batch(["Hi"] * 3)))
                print((await asyncio.to_thread(model.invoke, "Hi")).text)
                inner = asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(model.ainvoke("Hi")))
                print((await inner).text, (await model.ainvoke("Hi")).text)

            asyncio.run(main())
        """
        assert run(serve(reply("Hello")), code) == ["Hello"] * 8


class TestProcesses:
    @pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)", "pass"])
    def test_parent_and_child_go_on_after_a_fork(self, serve: Serve, end: str) -> None:
        code = f"""
            model.invoke("before")
            loop = asyncio.new_event_loop()
            loop.run_until_complete(model.ainvoke("before"))
            left = model.stream("before")
            next(left)
            if pid := os.fork():
                os.waitpid(pid, 0)
                print("".join(chunk.text for chunk in left), model.invoke("parent").text)
                print(loop.run_until_complete(model.ainvoke("parent")).text)
                loop.close()
            else:
                print(model.invoke("child").text, asyncio.run(model.ainvoke("child")).text, flush=True)
                print("".join(chunk.text for chunk in model.stream("child")), flush=True)
                {end}
        """
        server = serve([STREAM + chunk(text("Hel")), 0.05, chunk(text("lo")) + END])
        assert run(server, code) == ["Hello"] * 3 + ["lo"] + ["Hello"] * 2
        asked = [request.query for request in server.requests]
        assert sorted(asked) == ["before"] * 3 + ["child"] * 3 + ["parent"] * 2

    def test_a_child_has_free_places_though_threads_held_all_at_the_fork(self, serve: Serve) -> None:
        code = """
            limited = DarkAI(base_url=url, max_retries=0, max_concurrency=2)

            def ask():
                return asyncio.run(first(limited.stream(limited.call("Hi"))))

            ask()
            for _ in range(4):
                threading.Thread(target=ask).start()
            while limited.limiter.available:
                time.sleep(0.01)
            if pid := os.fork():
                os.waitpid(pid, 0)
            else:
                print(ask(), flush=True)
                os._exit(0)
        """
        server = serve([0.6, *reply("Hello")])
        assert run(server, code) == ["Hello"]

    def test_a_pool_of_forked_processes_can_call(self, serve: Serve) -> None:
        code = """
            import multiprocessing

            def work(given):
                model, n = given
                return f"{model.invoke(str(n)).text}{model.temperature}"

            if __name__ == "__main__":
                model.invoke("before")
                asyncio.run(model.ainvoke("before"))
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    print(*pool.map(work, [(ChatDarkAI(base_url=url, temperature=n), n) for n in range(4)]))
                    pool.close()
                    pool.join()
        """
        assert run(serve(reply("Hello")), code) == [f"Hello{n}.0" for n in range(4)]

    def test_streams_that_outlive_their_loop_and_a_client_that_was_closed(self, serve: Serve) -> None:
        code = """
            kept = []
            async def main():
                async with DarkAI(base_url=url, max_retries=0) as client:
                    kept.append(client.stream(client.call("Hi")))
                    print(await anext(kept[-1]))
            for _ in range(4):
                asyncio.run(main())
        """
        assert run(serve(FOR_EVER), code) == ["Hel"] * 4

    def test_the_first_call_may_come_from_threads_that_the_loop_waits_for(self, serve: Serve) -> None:
        """The loop's executor is full of threads that wait for the call, which must not wait for one of them."""
        code = """
            async def main():
                loop = asyncio.get_running_loop()
                ask = lambda: asyncio.run_coroutine_threadsafe(model.ainvoke("Hi"), loop).result(20).text
                print(*await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(40))))
            asyncio.run(main())
        """
        assert run(serve(reply("Hello")), code) == ["Hello"] * 40

    def test_pickles_and_copies_of_a_model_in_use_can_call(self, serve: Serve) -> None:
        code = """
            async def main():
                await first(model.astream("Hi"))
                pickled = lambda model: pickle.loads(pickle.dumps(model))
                for again in (copy.copy, copy.deepcopy, pickled, ChatDarkAI.model_copy):
                    other = again(model)
                    assert other == model
                    print((await other.ainvoke("Hi")).text, other.invoke("Hi").text)

            model.invoke("Hi")
            asyncio.run(main())
        """
        assert run(serve(reply("Hello")), code) == ["Hello"] * 8

    @pytest.mark.parametrize("call", ["invoke('Hi')", "stream('Hi')", "batch(['Hi'])", "ainvoke('Hi')"])
    def test_the_first_call_may_come_at_exit(self, serve: Serve, call: str) -> None:
        """There are no more threads then, from Python 3.12 on."""
        code = f"""
            def late():
                result = model.{call}
                result = asyncio.run(result) if inspect.iscoroutine(result) else result
                for message in [result] if hasattr(result, "text") else result:
                    print(message.text)

            atexit.register(late)
        """
        assert run(serve(reply("Hello")), code) == ["Hello"]

    def test_a_call_at_exit_works_after_the_loop_has_ended(self, serve: Serve) -> None:
        code = """
            from langchain_darkai import _portal

            atexit.unregister(_portal._stop)
            atexit.register(lambda: print(model.invoke("Hi").text, *(chunk.text for chunk in model.stream("Hi"))))
            atexit.register(_portal._stop)
            print(model.invoke("Hi").text)
        """
        assert run(serve(reply("Hello")), code) == ["Hello"] * 3

    def test_an_exit_during_calls_of_all_kinds_is_quick_and_quiet(self, serve: Serve) -> None:
        """Streams half-read, threads that wait and will wait, a loop that nobody closes: the process ends at once."""
        code = """
            for call in (model.invoke, lambda q: list(model.stream(q)), lambda q: asyncio.run(model.ainvoke(q))):
                threading.Thread(target=call, args=("Hi",), daemon=True).start()
            half = model.stream("Hi")
            next(half)
            other = model.stream("Hi")
            print(next(other).text)
            time.sleep(0.3)
        """
        started = time.monotonic()
        assert run(serve(FOR_EVER), code) == ["Hel"]
        assert time.monotonic() - started < 15

    def test_a_thread_that_is_waited_for_at_exit_gets_its_reply(self, serve: Serve) -> None:
        code = """
            threading.Thread(target=lambda: print(model.invoke("Hi").text)).start()
        """
        assert run(serve([0.3, *reply("Hello")]), code) == ["Hello"]

    def test_clients_work_again_after_close_and_leave_a_users_session_open(self, serve: Serve) -> None:
        code = """
            import aiohttp

            async def text_of(client):
                return "".join([piece async for piece in client.stream(client.call("Hi")) if isinstance(piece, str)])

            async def main():
                for _ in range(3):
                    async with client:
                        print(await text_of(client))
                    await client.aclose()
                async with aiohttp.ClientSession() as session:
                    own = DarkAI(base_url=url, session=session)
                    print(await text_of(own))
                    await own.aclose()
                    own.close()
                    print(await text_of(own), session.closed)

            client.close()
            asyncio.run(main())
            for _ in range(3):
                with client:
                    print(model.invoke("Hi").text)
                client.close()
            model.invoke("Hi")
        """
        assert run(serve(reply("Hello")), code) == [*["Hello"] * 5, "False", *["Hello"] * 3]

    def test_tasks_may_be_cancelled_at_any_moment(self, serve: Serve) -> None:
        code = """
            async def read():
                async for chunk in model.astream("Hi"):
                    pass

            async def main():
                for n in range(60):
                    task = asyncio.create_task(read() if n % 2 else model.ainvoke("Hi"))
                    await asyncio.sleep(n * 0.0005)
                    task.cancel()
                    try:
                        await task
                    except asyncio.CancelledError:
                        pass
                print((await model.ainvoke("Hi")).text)

            asyncio.run(main())
        """
        server = serve([0.005, STREAM, 0.005, chunk(text("Hello")), 0.005, END])
        assert run(server, code) == ["Hello"]

    def test_failures_of_all_kinds_leave_nothing_behind(self, serve: Serve) -> None:
        scripts: list[list[Step]] = [
            [RESET],
            [CLOSE],
            answer(500, "no"),
            answer(401),
            [STREAM, CLOSE],
            [STREAM + b"zz\r\n"],
        ]
        scripts += [[STREAM + chunk(text("Hel")), HOLD], [HOLD], [STREAM + chunk(b"data: nonsense\n")]]

        def script(request: Request) -> list[Step]:
            return scripts[int(request.query)]

        code = f"""
            from langchain_darkai import DarkAIError

            brief = ChatDarkAI(base_url=url, max_retries=0, stream_chunk_timeout=0.2)
            for n in range({len(scripts)}):
                for call in (brief.invoke, lambda q: list(brief.stream(q)), lambda q: asyncio.run(brief.ainvoke(q)),
                             lambda q: brief.batch([q] * 3)):
                    try:
                        call(str(n))
                    except DarkAIError as error:
                        print(n)
        """
        assert run(serve(script), code) == [str(n) for n in range(len(scripts)) for _ in range(4)]


class TestOpenFiles:
    def test_hundreds_of_calls_leave_no_open_files_or_threads(self, serve: Serve, model_of: ModelOf) -> None:
        scripts: list[list[Step]] = [
            reply("Hello"),
            [STREAM + chunk(text("Hello")), 0.002, END],
            answer(500, "no"),
            [RESET],
            [STREAM + chunk(text("Hel")), CLOSE],
            [STREAM + chunk(b"data: nonsense\n"), HOLD],
        ]
        server = serve(lambda request: scripts[int(request.query) % len(scripts)])
        process = psutil.Process()

        def work(n: int) -> None:
            model, query = model_of(server, temperature=n / 1000), str(n)
            try:
                match n % 5:
                    case 0:
                        model.invoke(query)
                    case 1:
                        list(model.stream(query))
                    case 2:
                        next(model.stream(query))
                    case 3:
                        asyncio.run(model.ainvoke(query))
                    case _:
                        model.batch([query] * 2, return_exceptions=True)
            except DarkAIError:
                pass

        def settle() -> tuple[int, int]:
            server.wait_for(lambda server: server.active == 0)
            gc.collect()
            time.sleep(0.1)
            return process.num_fds(), threading.active_count()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(60)))
            files, running = settle()
            list(threads.map(work, range(360)))
            later, still = settle()
        # The server's side of the kept connections is in this process, too: two files and a thread for each.
        assert later <= files + 16
        assert still <= running + 8


class TestEndings:
    @pytest.mark.parametrize("entry", ["ainvoke", "astream"])
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([HOLD], id="before the headers"),
            pytest.param([STREAM, HOLD], id="before the text"),
            pytest.param(FOR_EVER, id="during the text"),
            pytest.param([STREAM + chunk(text("Hel")), *([chunk(text("x")), 0.01] * 500)], id="during a torrent"),
        ],
    )
    @pytest.mark.parametrize("way", ["cancel", "wait_for", "timeout"])
    async def test_a_cancelled_call_closes_its_connection_at_once(
        self, serve: Serve, model_of: ModelOf, entry: str, script: list[Step], way: str
    ) -> None:
        server = serve(script, reply("Hello"))
        model = model_of(server, max_retries=3, max_concurrency=1)
        call = Asker(entry)(model)
        if way == "wait_for":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call, 0.1)
        else:
            task = asyncio.ensure_future(call)
            await server.comes_to(lambda server: len(server.requests) == 1)
            await asyncio.sleep(0.05)
            task.cancel()
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        await server.comes_to(lambda server: server.left == 1, 0.5)
        assert (await model.ainvoke("Hi")).text == "Hello"
        assert len(server.requests) == 2

    async def test_a_call_that_is_cancelled_while_it_waits_for_its_place_sends_nothing(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        server = serve(FOR_EVER, reply("Hello"))
        model = model_of(server, max_concurrency=1)
        holder, waiter = (asyncio.ensure_future(model.ainvoke("Hi")) for _ in range(2))
        await server.comes_to(lambda server: len(server.requests) == 1)
        waiter.cancel()
        await asyncio.wait([waiter])
        holder.cancel()
        await asyncio.wait([holder])
        assert (await model.ainvoke("Hi")).text == "Hello"
        assert len(server.requests) == 2

    @pytest.mark.parametrize("entry", ENTRIES)
    async def test_a_connection_is_used_again_where_the_body_ends_later(
        self, serve: Serve, model_of: ModelOf, entry: str
    ) -> None:
        server = serve([STREAM + chunk(text("Hello") + b'data: {"event": "stream-end"}\n\n'), 0.03, chunk(b"")])
        model = model_of(server)
        for _ in range(4):
            assert (await Asker(entry)(model)).content == "Hello"
            await asyncio.sleep(0.1)
        assert server.connections == 1


class TestClose:
    async def test_closing_one_client_does_not_break_the_calls_of_another(self, serve: Serve) -> None:
        """The session is the loop's, not the client's: closing one client must not break the calls of another."""
        gate = threading.Event()

        def script(request: Request) -> list[Step]:
            return (
                [STREAM + chunk(text("Hel")), gate, chunk(text("lo")) + END] if request.query == "slow" else reply("Hi")
            )

        server = serve(script)
        one, other = (DarkAI(base_url=server.url, max_retries=0) for _ in range(2))
        stream = other.stream(other.call("slow"))
        assert await anext(stream) == "Hel"
        unsent = other.stream(other.call("slow"))
        await one.aclose()
        assert await anext(unsent) == "Hel"
        gate.set()
        for going in (stream, unsent):
            assert "".join([piece async for piece in going if isinstance(piece, str)]) == "lo"

    async def test_a_stream_that_is_left_is_closed_after_its_client(self, serve: Serve) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD], reply("Hello"))
        client = DarkAI(base_url=server.url, max_retries=0)
        stream = client.stream(client.call("Hi"))
        await anext(stream)
        await client.aclose()
        await stream.aclose()
        await server.comes_to(lambda server: server.left == 1, 0.5)
        files = psutil.Process().num_fds()
        for _ in range(10):
            async with client:
                assert [piece async for piece in client.stream(client.call("Hi"))] == ["Hello", StreamEnd()]
        await asyncio.sleep(0.05)
        assert psutil.Process().num_fds() <= files + 2

    def test_closing_one_client_does_not_break_synchronous_calls_of_other_threads(
        self, serve: Serve, model_of: ModelOf
    ) -> None:
        gate = threading.Event()
        server = serve([STREAM + chunk(text("Hel")), gate, chunk(text("lo")) + END])
        stream = model_of(server).stream("Hi")
        assert next(stream).text == "Hel"
        DarkAI(base_url=server.url).close()
        gate.set()
        assert "".join(chunk.text for chunk in stream) == "lo"


def test_context_variables_of_the_caller_reach_a_nested_call(serve: Serve, model_of: ModelOf) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    model, seen = model_of(serve(reply("Hello"))), []

    class Sees(AsyncCallbackHandler):
        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            seen.append(user.get())

    class AsksAgain(BaseCallbackHandler):
        run_inline = True
        raise_error = True

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            model.batch(["again"], config={"callbacks": [Sees()]})

    user.set("somebody")
    model.batch(["Hi"], config={"callbacks": [Sees(), AsksAgain()]})
    assert seen == ["somebody", "somebody"]
