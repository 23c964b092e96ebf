"""`AgentBuilder`: an agent put together piece by piece, and ready-made pieces of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Self

from typing_extensions import Unpack

from assent.agents.agent import Agent, AgentOptions, answer
from assent.agents.hooks import Hook
from assent.agents.models import Model
from assent.agents.recollection import CombinedRecollection, Recollection
from assent.agents.router import Router
from assent.agents.session import SessionRecollection
from assent.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What agents of one kind have in common; whatever is set beside it goes before it."""

    system: str
    options: AgentOptions
    remembers: bool = False  # the conversation, if it is told its session


CHATBOT: Final = Preset(
    system="You talk with a person. Be friendly and brief, ask when something is unclear, and say so when you do not "
    "know.",
    options={"temperature": 0.8, "max_turns": 10},
    remembers=True,
)
RESEARCH: Final = Preset(
    system="You research a question. Look things up with your tools before you answer, hold sources against each "
    "other, and give with each claim where it is from. Keep apart what is known, what is likely and what is open.",
    options={"temperature": 0.2, "max_turns": 40},
)
CODE_REVIEW: Final = Preset(
    system="You review a change of code. Name bugs, security holes, races and missing tests, the worst first, each "
    "with its place and a way to mend it. Do not praise, and do not repeat what the change says itself.",
    options={"temperature": 0.0, "max_turns": 20},
)
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {"chatbot": CHATBOT, "research": RESEARCH, "code_review": CODE_REVIEW}
)


@dataclass(frozen=True, slots=True)
class AgentBuilder:
    """An agent in the making. Each `with_` gives another builder, so one can be the beginning of several agents.

    What is built is an agent of `prompt` and `session_id`, no different from one made with `@agent`: the prompt goes to
    the model as it is.
    """

    name: str
    options: AgentOptions = field(default_factory=AgentOptions)
    preset: Preset | None = None
    memory: tuple[Recollection, ...] = ()
    session_id: str = ""
    router: Router | None = None
    tools: tuple[Any, ...] = ()
    hooks: tuple[Hook, ...] = ()
    output: Any = str

    def with_model(self, model: Model | str) -> Self:
        """Who answers."""
        return self.with_context(model=model)

    def with_memory(self, *memory: Recollection) -> Self:
        """What it takes along from one run to the next: by default the conversation of its session."""
        return replace(self, memory=(*self.memory, *(memory or (SessionRecollection(),))))

    def with_session_id(self, session_id: str) -> Self:
        """In which conversation it takes part when a call does not say. It needs a memory."""
        return replace(self, session_id=session_id)

    def with_routing(self, router: Router) -> Self:
        """Who answers instead when a prompt fits an agent of the router well enough."""
        return replace(self, router=router)

    def with_tools(self, *tools: Any) -> Self:
        """What it may call, beside what it may call already."""
        return replace(self, tools=(*self.tools, *tools))

    def with_hooks(self, *hooks: Hook) -> Self:
        """Who looks on, after those who do already."""
        return replace(self, hooks=(*self.hooks, *hooks))

    def with_context(self, **options: Unpack[AgentOptions]) -> Self:
        """Any options of `@agent`: temperature, max_tokens, max_turns, max_cost, system, retry ..."""
        merged: AgentOptions = {**self.options, **options}
        return replace(self, options=merged)

    def with_output(self, output: Any) -> Self:
        """The type of its result, instead of text."""
        return replace(self, output=output)

    def with_preset(self, preset: Preset | str) -> Self:
        """Begin with a ready-made kind of agent: "chatbot", "research", "code_review", or one of your own."""
        found = PRESETS.get(preset) if isinstance(preset, str) else preset
        if found is None:
            raise UsageError(f"preset={preset!r} is unknown. Give one of {', '.join(PRESETS)}, or a Preset.")
        return replace(self, preset=found)

    def build(self) -> Agent[..., Any]:
        """The agent. Raises UsageError for pieces that do not fit each other."""
        memory = self._remembered()
        if self.session_id and not memory:
            raise UsageError(f"{self.name} has a session, and no memory to keep it in. Add with_memory().")
        options: AgentOptions = {**self._common(), **self.options, "name": self.name}
        if memory:
            options["memory"] = CombinedRecollection(*memory)
        if self.tools:
            options["tools"] = (*options.get("tools", ()), *self.tools)
        if self.hooks:
            options["hooks"] = (*options.get("hooks", ()), *self.hooks)
        agent = Agent(_function(self), options)
        _ = agent.spec  # what does not fit shows now
        return agent

    def _common(self) -> AgentOptions:
        return {"system": self.preset.system, **self.preset.options} if self.preset else {}

    def _remembered(self) -> Sequence[Recollection]:
        remembers = self.preset is not None and self.preset.remembers and self.session_id
        return self.memory or ((SessionRecollection(),) if remembers else ())


def _function(builder: AgentBuilder) -> Any:
    router, session = builder.router, builder.session_id

    async def respond(prompt: str, session_id: str = session) -> Any:
        match = await router.best(prompt) if router is not None else None
        if router is not None and match is not None:
            return await router.agent_for(prompt, match)(prompt)
        return await answer(prompt)

    respond.__annotations__["return"] = builder.output
    respond.__doc__ = f"Answer as {builder.name}."
    return respond
