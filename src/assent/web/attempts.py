"""How often somebody may fail to get in: counted in the store, so that several processes count together."""

from ipaddress import IPv6Address, ip_address

from starlette.requests import HTTPConnection

from assent.errors import TooManyAttempts
from assent.web.desk import Desk, desk_of


async def count_attempt(request: HTTPConnection) -> None:
    """Count an attempt from where this request comes from. Raises TooManyAttempts."""
    desk, address = desk_of(request), address_of(request)
    wait = await _wait(desk, f"attempts:{address}")
    if wait > 0:
        raise TooManyAttempts(
            f"Too many attempts to get in from {address}. Try again in {wait:.0f} seconds.", retry_after=wait
        )


async def _wait(desk: Desk, key: str) -> float:
    burst = desk.settings.sign_in_attempts
    rate = burst / desk.settings.sign_in_window_seconds
    return await desk.store.admit(key, rate=rate, burst=burst, now=desk.clock.now())


def address_of(request: HTTPConnection) -> str:
    """Where a request comes from; of IPv6 the network, since a house has as many addresses as it likes."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host or "nowhere"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(getattr(address, "ipv4_mapped", None) or address)
