"""Event loops, threads, processes and exits: calls work, print no complaint, and leave nothing open or alive.

Code that could complain at the end of its process, or to standard error, runs in a process of its own, in Python's
development mode and with warnings as errors.
"""

import time

import pytest

from langchain_darkai.testing import ReceivedCall, reply
from langchain_darkai.testing.wire import CLOSE, END, HOLD, RESET, STREAM, Step, answer, chunk, text
from tests.support.asker import Serve
from tests.support.programs import run

pytestmark = pytest.mark.slow


FOR_EVER: list[Step] = [STREAM + chunk(text("Hel")), HOLD]


class TestLoops:
    def test_asyncio_run_works_again_and_again_and_with_what_the_last_one_left(self, serve: Serve) -> None:
        def script(request: ReceivedCall) -> list[Step]:
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
        def script(request: ReceivedCall) -> list[Step]:
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
        asked = [request.query for request in server.calls]
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

        def script(request: ReceivedCall) -> list[Step]:
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
