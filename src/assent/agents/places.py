"""Who offers models, and which model a name like "openai:gpt-5" or "http://127.0.0.1:8000/v1#llama" means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from assent.errors import UsageError


@dataclass(frozen=True, slots=True)
class Provider:
    """Where pydantic-ai keeps what it takes to speak to one provider."""

    module: str
    model: str  # class in `pydantic_ai.models.<module>`
    service: str  # class in `pydantic_ai.providers.<module>`
    variables: tuple[str, ...]  # of the environment that may hold its key; people are told of the first
    retries: bool = True  # whether its library tries again unless told not to
    embeddings: str | None = None  # class in `pydantic_ai.embeddings.<module>`; None: it offers no embeddings
    most_texts: int = 1  # that it embeds in one request


PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {
        "openai": Provider(
            "openai",
            "OpenAIChatModel",
            "OpenAIProvider",
            ("OPENAI_API_KEY",),
            embeddings="OpenAIEmbeddingModel",
            most_texts=2048,
        ),
        "anthropic": Provider("anthropic", "AnthropicModel", "AnthropicProvider", ("ANTHROPIC_API_KEY",)),
        "google": Provider(
            "google",
            "GoogleModel",
            "GoogleProvider",
            ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
            retries=False,
            embeddings="GoogleEmbeddingModel",
            most_texts=100,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is to be had. The key is no part of it, so that it can be shown."""

    name: str  # as users write it
    provider: str  # one of PROVIDERS
    model: str  # as the provider calls it
    base_url: str | None  # None: the provider's own address, or the one that its library's variable gives


def place_of(name: str, base_url: str | None = None) -> Place:
    """The place that a name means. Raises UsageError for a name or an address that cannot be one."""
    if "://" in name:
        address, _, model = name.partition("#")
        if base_url is not None:
            raise UsageError(f"The model {_shown(name)!r} has an address in its name, so it takes no base_url.")
        return _compatible(_shown(name), address, model)
    provider, _, model = name.partition(":")
    if provider not in PROVIDERS or not model:
        raise UsageError(
            f"No model is named {name!r}. Say provider:model with one of {', '.join(PROVIDERS)}, as in "
            "'openai:gpt-5', or the address of an OpenAI-compatible server, as in 'http://127.0.0.1:8000/v1#llama'."
        )
    if base_url is not None:
        _checked(base_url)
    return Place(name, provider, model, base_url)


def _compatible(name: str, address: str, model: str) -> Place:
    if not model:
        raise UsageError(f"The address {name!r} names no model. Put it behind a '#': {name + '#llama'!r}.")
    return Place(name, "openai", model, _checked(address))


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{_shown(address)!r} is no address of a model: it has to start with http:// or https://.")
    # Names and addresses appear in the journal and in errors, which no secret may reach.
    if parts.username is not None or parts.query:
        raise UsageError(
            f"The address {_shown(address)!r} has a user or parameters in it, which may be secret. "
            "Give the key by itself, as in key_variable='MY_KEY'."
        )
    return address


def _shown(address: str) -> str:
    """An address without what may be secret."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
