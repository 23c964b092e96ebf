"""Models and embedders over the network: the one file that makes those of pydantic-ai and calls them."""

from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from httpx2 import AsyncClient, Timeout
from pydantic import Field, FiniteFloat, TypeAdapter
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.embeddings import EmbeddingModel
from pydantic_ai.exceptions import AgentRunError, UnexpectedModelBehavior, UserError
from pydantic_ai.messages import ModelResponse as Answer
from pydantic_ai.models import Model, create_async_httpx2_client
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.settings import ModelSettings

from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.places import PROVIDERS, Place
from assent.agents.translation import Pieces, Question, failure_of, question_of, response_of

# A stream that just ends is no answer: somebody on the way may have cut it off. Other models see that by themselves.
PROFILE: Final = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)

# What the model layer stumbles over where an answer has not the form that it expects.
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)

# What a server that needs no key is sent for one, because the libraries insist on sending something.
NO_KEY = "no-key"


# Seconds until a server that can be reached has let us in; its answer may take longer.
CONNECTING: Final = 5

VECTORS: Final = TypeAdapter(list[Annotated[list[FiniteFloat], Field(min_length=1)]])


class Line:
    """Connections to one model, for one event loop."""

    def __init__(self, place: Place, key: str | None) -> None:
        self._place = place
        self._key = key
        self._client = create_async_httpx2_client()
        self._model = _model(place, key or NO_KEY, self._client)

    async def close(self) -> None:
        await self._client.aclose()

    async def request(self, request: ModelRequest) -> ModelResponse:
        question = self._question(request)
        try:
            answer = await model_request(
                self._model,
                question.messages,
                model_settings=question.settings,
                model_request_parameters=question.parameters,
            )
            _check_end(answer)
        except (AgentRunError, UserError, *MALFORMED) as error:
            raise failure_of(error, self._place.name, self._key) from None
        return response_of(answer, question, self._place.model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        question = self._question(request)
        pieces = Pieces(question.answer_tool)
        try:
            async with model_request_stream(
                self._model,
                question.messages,
                model_settings=question.settings,
                model_request_parameters=question.parameters,
            ) as events:
                async for event in events:
                    if piece := pieces.of(event):
                        yield piece
            answer = events.get()
            _check_end(answer)
        except (AgentRunError, UserError, *MALFORMED) as error:
            raise failure_of(error, self._place.name, self._key) from None
        response = response_of(answer, question, self._place.model)
        if rest := pieces.rest(response.message.text):
            yield rest
        yield response

    def _question(self, request: ModelRequest) -> Question:
        # Trying again is for whoever asks, who knows of budgets, deadlines and the journal.
        own = ModelSettings(max_retries=0) if PROVIDERS[self._place.provider].retries else ModelSettings()
        return question_of(request, self._model.profile, own)


class EmbeddingLine:
    """Connections to one model for embeddings, for one event loop."""

    def __init__(self, place: Place, key: str | None, timeout: float) -> None:
        self._place = place
        self._key = key
        self._client = create_async_httpx2_client(timeout=Timeout(timeout, connect=CONNECTING))
        self._model = _embedding_model(place, key or NO_KEY, self._client)

    async def close(self) -> None:
        await self._client.aclose()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        try:
            # Nobody says which texts are queries, so all are turned into vectors alike.
            answer = await self._model.embed(texts, input_type="document")
            vectors = VECTORS.validate_python(answer.embeddings)
            _check_number(vectors, len(texts))
        except (AgentRunError, UserError, *MALFORMED) as error:
            raise failure_of(error, self._place.name, self._key) from None
        return vectors


def _check_number(vectors: list[list[float]], wanted: int) -> None:
    if len(vectors) != wanted or len(set(map(len, vectors))) != 1:
        lengths = ", ".join(str(len(vector)) for vector in vectors)
        raise UnexpectedModelBehavior(f"For {wanted} texts there are vectors of these lengths: {lengths or 'none'}.")


def _check_end(answer: Answer) -> None:
    if answer.finish_reason is None:
        raise UnexpectedModelBehavior("The answer was cut off, or is none.")


def _model(place: Place, key: str, client: AsyncClient) -> Model:
    provider = PROVIDERS[place.provider]
    models = import_module(f"pydantic_ai.models.{provider.module}")
    service = _service(place, key, client)
    model: Model = getattr(models, provider.model)(place.model, provider=service, profile=PROFILE)
    return model


def _embedding_model(place: Place, key: str, client: AsyncClient) -> EmbeddingModel:
    provider = PROVIDERS[place.provider]
    models = import_module(f"pydantic_ai.embeddings.{provider.module}")
    service = _service(place, key, client)
    if provider.retries:
        service.client.max_retries = 0  # no setting of a request says so, as it does of models
    model: EmbeddingModel = getattr(models, str(provider.embeddings))(place.model, provider=service)
    return model


def _service(place: Place, key: str, client: AsyncClient) -> Any:
    provider = PROVIDERS[place.provider]
    services = import_module(f"pydantic_ai.providers.{provider.module}")
    if place.base_url is not None and place.provider == "openai":
        # By its host it is told from OpenAI itself, whose prices and special abilities it does not have.
        services = import_module("pydantic_ai.providers.openai_compatible")
        host = urlsplit(place.base_url).netloc
        return services.OpenAICompatibleProvider(host, base_url=place.base_url, api_key=key, http_client=client)
    return getattr(services, provider.service)(base_url=place.base_url, api_key=key, http_client=client)
