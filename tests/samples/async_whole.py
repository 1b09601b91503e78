import asyncio


async def fetch(n):
    await asyncio.sleep(0)
    return n * 2


async def main():
    results = []
    async for value in agen(2):
        results.append(value)
    return results + [await fetch(4)]


async def agen(n):
    for i in range(n):
        yield i


def run():
    loop = asyncio.new_event_loop()
    value = loop.run_until_complete(main())
    loop.close()
    return value


print(run())
