"""From `app.py:pay_supplier` to the function."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from assent.cli.stored import DEFAULT_STORE
from assent.engine import Program, Step
from assent.errors import UsageError
from assent.runtime import Runtime


def load_function(reference: str) -> tuple[ModuleType, Program]:
    """The module and the program of `app.py:fn` or `package.module:fn`. Raises UsageError."""
    where, colon, name = reference.rpartition(":")
    if not colon or not where or not name:
        raise UsageError(
            f"{reference!r} names no function. Write the file, a colon and the function: app.py:pay_supplier"
        )
    module = load_module(where)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{where} has no function {name!r}. {_offer(module, where)}")
        found = getattr(found, part)
    program = program_of(found)
    if program is None:
        raise UsageError(f"{name!r} in {where} is {_kind(found)}. {_offer(module, where)}")
    return module, program


def load_module(where: str) -> ModuleType:
    """The module in a file, or with a dotted name. Raises UsageError, in one line, for whatever goes wrong in it."""
    if where.endswith(".py") or "/" in where or Path(where).is_file():
        return _load_file(where, Path(where))
    sys.path.insert(0, str(Path.cwd()))
    try:
        known = find_spec(where) is not None
    except (ImportError, ValueError):
        known = False
    if not known:
        raise UsageError(f"There is no file and no module {where!r}. Give a path such as app.py, or a dotted name.")
    return _import(where, where)


def programs_of(module: ModuleType) -> Iterator[Program]:
    """The workflows and governed functions of a module, once each."""
    seen: set[int] = set()
    for value in vars(module).values():
        program = program_of(value)
        if program is not None and id(program) not in seen:
            seen.add(id(program))
            yield program


def program_of(value: object) -> Program | None:
    """The program of a decorated function; None of anything else."""
    has_one = not isinstance(value, type) and hasattr(type(value), "program")
    program = getattr(value, "program", None) if has_one else None
    return program if isinstance(program, Program) else None


def runtime_of(modules: Sequence[ModuleType], url: str | None, *, worker: bool) -> Runtime:
    """The runtime that the modules set up for themselves, if they do, with the store that was asked for.

    It is that very object and no copy, because their workflows may start others with it.
    """
    own = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Runtime)}
    if len(own) > 1:
        raise UsageError(f"There are {len(own)} runtimes at the top of these modules. Keep one, which all of them use.")
    runtime = next(iter(own.values()), None) or Runtime(url or DEFAULT_STORE)
    if url is not None:
        runtime.url, runtime.store = url, None
    runtime.worker = worker
    runtime.workflows = [*runtime.workflows, *modules]
    return runtime


def _load_file(where: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"There is no file {where!r}. Give the path of the file that holds the workflow.")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(f"{where!r} cannot be imported. Rename it to letters, digits and underscores, ending in .py")
    folder, names = path.resolve().parent, [path.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    module = _import(".".join(names), where)
    if module.__file__ is None or Path(module.__file__).resolve() != path.resolve():
        raise UsageError(
            f"The name {module.__name__!r} is taken by {module.__file__ or 'a built-in module'}. Rename {where}."
        )
    return module


def _import(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except SyntaxError as error:
        raise UsageError(
            f"{error.filename or where} line {error.lineno}: {error.msg}. Mend it and try again."
        ) from error
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UsageError(
            f"{where} cannot be imported{_line_of(error, where)}: {what}. Mend it and try again."
        ) from error


def _line_of(error: BaseException, where: str) -> str:
    """Where in the user's file it happened."""
    line, trace, stem = 0, error.__traceback__, Path(where).stem
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).stem == stem:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""


def _kind(found: object) -> str:
    if isinstance(found, Step):
        return "a step, which runs inside a workflow"
    if isinstance(found, type):
        return "a class"
    if callable(found):
        return "a function without @workflow or @govern"
    return f"no function but {type(found).__name__}"


def _offer(module: ModuleType, where: str) -> str:
    names = sorted(name for name, value in vars(module).items() if program_of(value) is not None)
    return f"It has {', '.join(names)}." if names else f"Decorate a function in {where} with @workflow or @govern."
