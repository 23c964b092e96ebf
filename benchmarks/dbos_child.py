"""Durable steps a second of DBOS on a SQLite file, printed as JSON: `dbos_child FILE SEQUENTIAL WORKFLOWS EACH`."""

import asyncio
import importlib
import json
import sys
from time import perf_counter


async def main(file: str, sequential: int, workflows: int, each: int) -> None:
    dbos = importlib.import_module("dbos")  # an extra: its types need not be there

    @dbos.DBOS.step()  # type: ignore[untyped-decorator]  # see above
    async def following(number: int) -> int:
        return number + 1

    @dbos.DBOS.workflow()  # type: ignore[untyped-decorator]
    async def count(steps: int) -> int:
        number = 0
        for _ in range(steps):
            number = await following(number)
        return number

    # As its documentation sets SQLite up; every step is committed before the next begins.
    dbos.DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{file}", "log_level": "ERROR"})
    dbos.DBOS.launch()
    await asyncio.gather(*(count(1) for _ in range(4)))
    start = perf_counter()
    await count(sequential)
    alone = sequential / (perf_counter() - start)
    start = perf_counter()
    await asyncio.gather(*(count(each) for _ in range(workflows)))
    together = workflows * each / (perf_counter() - start)
    dbos.DBOS.destroy()
    print(json.dumps([alone, together]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5])))
