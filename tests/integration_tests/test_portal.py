"""Synchronous calls from everywhere: in a running loop, in threads, after a fork, at exit. And loops by the dozen."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.outputs import LLMResult

from langchain_darkai import ChatDarkAI, DarkAIAPIError, _portal
from langchain_darkai.testing import reply
from langchain_darkai.testing.wire import END, HOLD, STREAM, answer, chunk, text
from tests.support.asker import ModelOf, Serve
from tests.support.programs import run


class TestRun:
    def test_run_returns_the_result(self) -> None:
        async def add(a: int, b: int) -> int:
            await asyncio.sleep(0)
            return a + b

        assert _portal.run(add(1, 2)) == 3

    def test_run_raises_the_error(self) -> None:
        async def fail() -> None:
            raise KeyError("here")

        with pytest.raises(KeyError, match="here"):
            _portal.run(fail())

    async def test_synchronous_calls_work_inside_a_running_loop(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(reply("Hello")))
        assert model.invoke("Hi").text == "Hello"
        assert "".join(chunk.text for chunk in model.stream("Hi")) == "Hello"
        assert [message.text for message in model.batch(["a", "b"])] == ["Hello"] * 2
        assert {message.text for _, message in model.batch_as_completed(["a", "b"])} == {"Hello"}  # type: ignore[union-attr]
        assert (await model.ainvoke("Hi")).text == "Hello"

    def test_synchronous_calls_work_in_many_threads_without_a_loop(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(reply("Hello")))
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda _: model.invoke("Hi").text, range(40))) == ["Hello"] * 40

    def test_one_thread_serves_all_synchronous_calls(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(reply("Hello")))
        model.invoke("Hi")
        before = threading.active_count()
        for _ in range(5):
            model.invoke("Hi")
            list(model.stream("Hi"))
            model.batch(["a"] * 20)
        ours = [thread for thread in threading.enumerate() if thread.name == "langchain-darkai"]
        assert (len(ours), ours[0].daemon) == (1, True)
        assert threading.active_count() <= before + 20  # core's own, for synchronous callbacks

    def test_a_keyboard_interrupt_ends_the_request(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve([HOLD])

        def interrupt() -> None:
            server.wait_for(lambda server: len(server.calls) == 1)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            model_of(server).invoke("Hi")
        server.wait_for(lambda server: server.left == 1, 0.5)

    def test_a_call_from_within_the_background_loop(self, serve: Serve, model_of: ModelOf) -> None:
        model = model_of(serve(reply("Hello")))

        replies: list[str] = []

        class Asks(BaseCallbackHandler):
            run_inline = True
            raise_error = True

            def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
                replies.append(model.invoke("again").text)
                replies.append("".join(chunk.text for chunk in model.stream("again")))

        model.batch(["Hi"], config={"callbacks": [Asks()]})
        assert replies == ["Hello", "Hello"]


class TestIterate:
    def test_a_stream_yields_items_as_they_come(self, serve: Serve, model_of: ModelOf) -> None:
        seen = threading.Event()
        server = serve([STREAM + chunk(text("Hel")), seen, chunk(text("lo")), END])
        chunks = model_of(server).stream("Hi")
        assert next(chunks).text == "Hel"
        seen.set()
        assert "".join(chunk.text for chunk in chunks) == "lo"

    @pytest.mark.parametrize("end", ["break", "close", "dropped"])
    def test_leaving_a_stream_ends_the_request(self, serve: Serve, model_of: ModelOf, end: str) -> None:
        server = serve([STREAM + chunk(text("Hel")), HOLD], reply("Hello"))
        model = model_of(server)
        chunks = model.stream("Hi")
        assert next(chunks).text == "Hel"
        if end == "close":
            chunks.close()  # type: ignore[attr-defined]
        elif end == "break":
            for _ in model.stream("Hi"):
                break
        del chunks
        server.wait_for(lambda server: server.left >= 1, 0.5)
        assert model.invoke("Hi").text == "Hello"

    def test_an_iterator_that_is_never_begun_sends_nothing(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(reply("Hello"))
        model_of(server).stream("Hi")
        assert not server.calls

    def test_the_error_comes_after_the_items(self) -> None:
        async def items() -> Any:
            yield 1
            raise DarkAIAPIError("broke")

        iterator = _portal.iterate(items)
        assert next(iterator) == 1
        with pytest.raises(DarkAIAPIError, match="broke"):
            next(iterator)


class TestContext:
    def test_callbacks_of_the_caller_see_a_batch(self, serve: Serve, model_of: ModelOf) -> None:
        started: list[str] = []

        class Sees(AsyncCallbackHandler):
            async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
                started.append(messages[0][0].content)

        model_of(serve(reply("Hello"))).batch(["a", "b"], config={"callbacks": [Sees()]})
        assert sorted(started) == ["a", "b"]


class TestLoops:
    def test_asyncio_run_again_and_again(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(reply("Hello"))
        model = model_of(server)
        for n in range(5):
            assert asyncio.run(model.ainvoke(f"{n}")).text == "Hello"
            assert model.invoke(f"sync {n}").text == "Hello"
        assert [request.query for request in server.calls] == [q for n in range(5) for q in (f"{n}", f"sync {n}")]

    def test_a_loop_in_each_thread(self, serve: Serve, model_of: ModelOf) -> None:
        server = serve(reply("Hello"))
        model = model_of(server)

        async def several() -> list[str]:
            return [message.text for message in await model.abatch(["Hi"] * 5)]

        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda _: asyncio.run(several()), range(16)))
        assert replies == [["Hello"] * 5] * 16
        assert len(server.calls) == 80


class TestProcesses:
    def test_all_ways_of_calling_end_silently(self, serve: Serve) -> None:
        script = """
            import asyncio

            async def left():
                async for chunk in model.astream("Hi"):
                    break

            for _ in range(3):
                print(asyncio.run(model.ainvoke("Hi")).text)
                asyncio.run(left())
            print(model.invoke("Hi").text, len(model.batch(["a", "b"])))
            for chunk in model.stream("Hi"):
                break
            left_open = model.stream("Hi")
            next(left_open)
            loop = asyncio.new_event_loop()
            print(loop.run_until_complete(model.ainvoke("Hi", stop=["x"])).text)
            loop.close()
        """
        server = serve([STREAM + chunk(text("Hello")), 0.01, END])
        assert run(server, script) == ["Hello"] * 4 + ["2", "Hello"]

    def test_a_server_that_keeps_the_body_open(self, serve: Serve) -> None:
        server = serve([STREAM + chunk(text("Hello") + b'data: {"event": "stream-end"}\n\n'), HOLD])
        script = """
            import asyncio
            print(asyncio.run(model.ainvoke("Hi")).text, model.invoke("Hi").text)
        """
        assert run(server, script) == ["Hello"] * 2

    def test_a_fork_after_use(self, serve: Serve) -> None:
        script = """
            import asyncio, os, warnings
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads; users do it
            model.invoke("before")
            if pid := os.fork():
                os.waitpid(pid, 0)
                print(model.invoke("parent").text, asyncio.run(model.ainvoke("parent")).text)
            else:
                print(model.invoke("child").text, asyncio.run(model.ainvoke("child")).text, flush=True)
                os._exit(0)
        """
        assert run(serve(reply("Hello")), script) == ["Hello"] * 4

    def test_calls_at_exit(self, serve: Serve) -> None:
        script = """
            import atexit
            atexit.register(lambda: print(model.invoke("Hi").text))
            model.invoke("Hi")
        """
        assert run(serve(reply("Hello")), script) == ["Hello"]

    def test_first_calls_at_once_import_in_one_thread(self, serve: Serve) -> None:
        script = """
            started = []

            class Thread(threading.Thread):
                def start(self):
                    started.append(self.name)
                    super().start()

            async def main():
                threading.Thread = Thread
                left, *calls = [asyncio.ensure_future(model.ainvoke("Hi")) for _ in range(6)]
                await asyncio.sleep(0)
                left.cancel()
                print(*(message.text for message in await asyncio.gather(*calls)))

            asyncio.run(main())
            print(started.count("langchain-darkai-work"))
        """
        assert run(serve(reply("Hello")), script) == [*["Hello"] * 5, "1"]

    def test_a_failure_keeps_nothing_alive(self, serve: Serve) -> None:
        script = """
            for call in (model.invoke, lambda q: next(model.stream(q))):
                try:
                    call("Hi")
                except ValueError as error:
                    print(type(error).__name__)
        """
        server = serve(answer(400, '{"error": "no"}'))
        assert run(server, script) == ["DarkAIInvalidRequestError"] * 2

    def test_constructing_in_a_thread_without_a_loop(self) -> None:
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(ChatDarkAI).result().model == "llama-3-70b"
