"""Calls every kind of method of stoop.test.Echo through grpc.aio, 16 tasks at once on one channel. Messages are the bytes they are."""
import asyncio
import sys
import grpc

name = "/stoop.test.Echo/"


async def messages(*parts):
    for part in parts:
        yield part


async def everything(channel):
    call = dict(timeout=20)
    assert await channel.unary_unary(name + "Unary")(b"hello", **call) == b"hello"
    assert [part async for part in channel.unary_stream(name + "Count")(b"abc", **call)] == [b"a", b"b", b"c"]
    assert await channel.stream_unary(name + "Join")(messages(b"a", b"bc", b""), **call) == b"abc"
    chat = channel.stream_stream(name + "Chat")(**call)
    for part in (b"one", b"two"):
        await chat.write(part)
        assert await chat.read() == part
    await chat.done_writing()
    assert await chat.read() == grpc.aio.EOF
    try:
        await channel.unary_unary(name + "Fail")(b"", **call)
        raise SystemExit("that was to fail")
    except grpc.aio.AioRpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    slow = channel.unary_unary(name + "Slow")(b"20000", **call)
    await asyncio.sleep(0.01)
    assert slow.cancel()


async def main():
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        await asyncio.gather(*(everything(channel) for _ in range(16)))
        print((await channel.unary_unary(name + "Who")(b"", timeout=20)).decode())


asyncio.run(main())
