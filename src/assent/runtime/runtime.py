"""The one place that reads settings and picks implementations: which store, which engine, which policies."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, Self, TypeVar, overload

from typing_extensions import Unpack

from assent.clock import Clock, Duration, SystemClock, moment
from assent.codec import codec_for
from assent.engine import (
    Engine,
    Gate,
    Hooks,
    LiveExecution,
    Program,
    StepSpec,
    Tracer,
    Watcher,
    Workflow,
    ambient_engine,
    current,
    nested_identity,
    step_scope,
)
from assent.engine.ground import DurableGround
from assent.engine.local import LocalEngine, WorkerSettings
from assent.errors import RuntimeRequired, UsageError
from assent.governance import (
    Authority,
    MandateOptions,
    Policy,
    acting_as,
    ambient_authority,
    current_principal,
    mandate,
    mandate_program,
)
from assent.governance.budgets import Amount, decimal_of, millionths
from assent.notify import Channel, Notifier
from assent.notify.channel import Link
from assent.resilience.ground import ambient_ground
from assent.runtime.attached import policies_of
from assent.runtime.handle import Handle
from assent.runtime.links import LIFETIME, DecisionLinks
from assent.runtime.oversight import Oversight
from assent.runtime.programs import Startable, programs_of
from assent.store import Event, ExecutionQuery, ExecutionRecord, Status, Store
from assent.store.sqlite import SqliteStore

P = ParamSpec("P")
R = TypeVar("R")


NOT_OPEN = "This Runtime is not open: use it as `async with Runtime(...) as runtime:`."


@dataclass
class Runtime(Oversight):
    """Opens a store and drives executions on it, for as long as it is entered with `async with`.

    `url` is "sqlite:///file.db", or "sqlite://" for memory. With `worker=False` this process starts executions and
    waits for them, but takes none that others have started. `workflows` are the decorated functions, or modules full
    of them, whose executions this process can resume; those of `__main__` and of every module from which one was
    started come by themselves. `policies` hold for every governed call that they apply to, before its own; a path is
    that of a policy file, and one that does not load keeps the runtime from opening. `channels` are how people hear of
    what is asked of them, with a link made of `approval_url`. `watchers` are told of every event, and a `Tracer`
    among them follows executions beyond this process; `gates` may veto every step.
    """

    url: str = "sqlite:///assent.db"
    _: KW_ONLY
    worker: bool = True
    policies: Sequence[Policy | str | Path] | str | Path = ()
    channels: Sequence[Channel] = ()
    workflows: Iterable[Startable | ModuleType] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    watchers: Sequence[Watcher | Tracer] = ()
    gates: Sequence[Gate] = ()
    settings: WorkerSettings | None = None
    clock: Clock = field(default_factory=SystemClock)
    store: Store | None = None  # instead of `url`
    poll_url: str = "/api/v1/executions/{execution_id}"
    approval_url: str | None = None  # a template with {approval_id}: where people decide
    web_url: str | None = None  # of the web here, instead: who is asked alone gets a link that decides, see links_on
    link_lifetime: Duration = LIFETIME  # how long a link that decides is good
    check_replay: bool = False
    _engine: LocalEngine | None = field(default=None, init=False, repr=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False, repr=False)
    _modules: set[str] = field(default_factory=set, init=False, repr=False)  # whose functions are registered
    _authority: Authority | None = field(default=None, init=False, repr=False)
    _notifier: Notifier | None = field(default=None, init=False, repr=False)

    async def __aenter__(self) -> Self:
        if self._engine is not None:
            raise UsageError("This Runtime is open already. Open it once, and share it.")
        policies = await asyncio.to_thread(policies_of, self.policies, self.environment)
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self.store or SqliteStore(self.url))
            settings = replace(self.settings or WorkerSettings(), claims=self.worker)
            notifier = Notifier(store, self.clock, self.channels, link=await self.links_on(store))
            hooks = self._hooks(notifier)
            for tracer in hooks.tracers:
                stack.enter_context(tracer.open())
            engine = LocalEngine(
                store,
                self.clock,
                settings=settings,
                hooks=hooks,
                check_replay=self.check_replay,
                requester=_requester,
            )
            authority = Authority(
                store=store,
                clock=self.clock,
                policies=policies,
                environment=dict(self.environment),
                poll_url=self.poll_url,
                channels=tuple(channel.name for channel in self.channels),
            )
            for program in self._programs():
                engine.register(program)
            stack.enter_context(_ambient(engine, authority))
            # Whoever opens the runtime is not the one for whom its executions run.
            with acting_as(None), hooks.surroundings():
                await stack.enter_async_context(notifier)
                await stack.enter_async_context(engine)
            self._engine, self._authority, self._notifier = engine, authority, notifier
            self._stack = stack.pop_all()
        return self

    def _hooks(self, notifier: Notifier) -> Hooks:
        tracers = [each for each in self.watchers if isinstance(each, Tracer)]
        watchers = [each for each in self.watchers if not isinstance(each, Tracer)]
        if self.channels:
            watchers.append(_nudging(notifier))
        return Hooks(tuple(self.gates), watchers, tracers)

    async def __aexit__(self, *exc: object) -> None:
        self._engine = self._authority = self._notifier = None
        self._modules.clear()
        await self._stack.aclose()

    @contextmanager
    def ambient(self) -> Iterator[Self]:
        """Let calls made in here find this runtime.

        That goes without saying in the task that opened it, and in those started from there. A web server starts its
        handlers elsewhere: there, and in threads, a call that finds no runtime is an ordinary one.
        """
        if self._engine is None or self._authority is None:
            raise RuntimeRequired(NOT_OPEN)
        with _ambient(self._engine, self._authority):
            yield self

    async def links_on(self, store: Store) -> Link | None:
        """How notices of this store lead to what they tell of.

        With `web_url`, a question to one person carries a link by which that person decides once, without signing in.
        """
        if self.web_url is None:
            return self.approval_url
        return (await DecisionLinks.of(store, self.clock, self.web_url, self.link_lifetime)).make

    @property
    def engine(self) -> Engine:
        """The engine that drives executions here. Raises RuntimeRequired before `async with`."""
        return self._local()

    @property
    def programs(self) -> Sequence[Program]:
        """What this process can start by name, in every version. Raises RuntimeRequired before `async with`."""
        return self._local().programs

    @property
    def policies_in_force(self) -> tuple[Policy, ...]:
        """Those that hold for every governed call here, with what stands in policy files. Raises RuntimeRequired."""
        if self._authority is None:
            raise RuntimeRequired(NOT_OPEN)
        return self._authority.policies

    def _local(self) -> LocalEngine:
        if self._engine is None:
            raise RuntimeRequired(NOT_OPEN)
        return self._engine

    @overload
    async def start(self, fn: Workflow[P, R], /, *args: Any, id: str | None = None, **kwargs: Any) -> Handle[R]: ...

    @overload
    async def start(self, fn: Startable, /, *args: Any, id: str | None = None, **kwargs: Any) -> Handle[Any]: ...

    async def start(self, fn: Startable, /, *args: Any, id: str | None = None, **kwargs: Any) -> Handle[Any]:
        """Start an execution, and return when it is safely stored.

        The same `id` with the same arguments returns the execution that exists; with other arguments it raises
        ExecutionConflict. Inside a workflow it starts a child, which goes on by itself if the parent ends.
        """
        engine = self.engine
        self._get_to_know(fn)
        arguments = fn.program.signature.bind(args, kwargs)
        live = current()
        if live is not None:
            return await self._start_child(live, fn.program, arguments, id)
        identity, parent = nested_identity()
        record = await engine.start(fn.program, arguments, id=id or identity, parent_id=parent)
        return Handle(engine, record.id)

    def _get_to_know(self, fn: Startable) -> None:
        """Register a function, and with it the others of its module, so that their executions can be resumed here."""
        module = getattr(fn, "__module__", "")
        others = () if module in self._modules else programs_of(sys.modules.get(module))
        self._modules.add(module)
        for program in (fn.program, *others):
            self.engine.register(program)

    async def _start_child(
        self, live: LiveExecution, program: Program, arguments: Mapping[str, Any], id: str | None
    ) -> Handle[Any]:
        engine = self.engine
        child_id = id or f"{live.info.id}.{len(live.ops)}"
        requester, parent_id = live.info.requester, live.info.id

        async def start(_arguments: Mapping[str, Any]) -> tuple[str, bool]:
            record = await engine.start(program, arguments, id=child_id, parent_id=parent_id, requester=requester)
            return record.id, record.parent_id == parent_id

        spec = StepSpec(
            name=f"start {program.name}",
            perform=start,
            signature=program.signature if program.captured else None,
            returns=codec_for(tuple[str, bool]),
            redact=program.redact,
        )
        started_id, is_child = await live.run_step(spec, arguments)
        return Handle(engine, started_id, is_child=is_child, returns=program.returns)

    def handle(self, id: str) -> Handle[Any]:
        """The execution with that id; whether it exists shows at the first question."""
        return Handle(self.engine, id)

    async def executions(
        self,
        *,
        status: Status | str | None = None,
        name: str | None = None,
        since: float | None = None,
        cause: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[ExecutionRecord]:
        """Executions, newest first. `since`: Unix seconds; `cause`: denied, rejected, expired ...; `before`: an id."""
        query = ExecutionQuery(
            status=Status(status) if status else None, name=name, since=since, cause=cause, before=before, limit=limit
        )
        return await self.engine.executions(query)

    async def ask_mandate(
        self,
        action: Startable | str,
        *,
        approvers: Sequence[str],
        until: datetime | Duration,
        total: Amount | None = None,
        id: str | None = None,
        **options: Unpack[MandateOptions],
    ) -> Handle[str]:
        """Ask people for one approval of a bounded series of actions; the result of the handle is its id.

        `until` is a moment or for how long; `count`, `total` and `only` bound it. See `assent.ask_mandate`, which does
        the same in workflow code.
        """
        name = action if isinstance(action, str) else action.program.name
        end = datetime.fromtimestamp(moment(until, self.clock.now()), UTC)
        limit = None if total is None else decimal_of(millionths(total, "total"))
        return await self.start(mandate, name, list(approvers), end, limit, id=id, **options)

    def _programs(self) -> Iterable[Program]:
        yield mandate_program
        yield from programs_of(sys.modules.get("__main__"))
        for each in self.workflows:
            yield from programs_of(each)


@contextmanager
def _ambient(engine: Engine, authority: Authority) -> Iterator[None]:
    durable = DurableGround(authority.store, authority.clock)
    tokens = ambient_engine.set(engine), ambient_authority.set(authority), ambient_ground.set(durable)
    try:
        yield
    finally:
        ambient_engine.reset(tokens[0])
        ambient_authority.reset(tokens[1])
        ambient_ground.reset(tokens[2])


def _nudging(notifier: Notifier) -> Watcher:
    """Sends notices of approvals as soon as they are opened here."""

    def watch(event: Event) -> None:
        if event.type.startswith("policy.approval."):
            notifier.nudge()

    return watch


def _requester() -> str | None:
    """For whom a call is made; inside a step, for whom its execution runs."""
    principal, scope = current_principal(), step_scope.get()
    if principal is not None:
        return principal.to_text()
    return scope.info.requester if scope else None
