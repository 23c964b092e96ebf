"""Values and JSON: what crosses the journal, in what form, and proof that it comes back as it was.

Everything is typed by annotations, through pydantic. Nothing here knows what the values are for.
"""

from assent.codec.signatures import Signature, signature_of
from assent.codec.text import digest, from_json, to_json
from assent.codec.values import Codec, SureCodec, codec_for

__all__ = [
    "Codec",
    "Signature",
    "SureCodec",
    "codec_for",
    "digest",
    "from_json",
    "signature_of",
    "to_json",
]
