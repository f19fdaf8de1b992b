"""What the environment says of the network: certificates, proxies, and what goes past them."""

import contextlib
import functools
import importlib.util
import ipaddress
import os
import ssl
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import unquote

import certifi
import urllib3
from urllib3.util import Url, parse_url

from v2t_lib.progress import warn_once

#: What names a company's certificates: for pip, requests, curl and OpenSSL.
_BUNDLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@functools.cache
def trusted() -> ssl.SSLContext:
    """The system's certificates, certifi's, as some systems have none, and `_BUNDLES`."""
    context = ssl.create_default_context()
    # Python 3.13 sets it, browsers and pip don't: many a company's authority fails it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(certifi.where())
    for name in _BUNDLES:
        path = os.path.expanduser(os.environ.get(name, ""))
        try:
            if os.path.isdir(path):
                context.load_verify_locations(capath=path)
            elif path:
                context.load_verify_locations(path)
        except OSError as error:
            warn_once(f"expected certificates (PEM) at {path}, as {name} says. Received: {error}")
    return context


def basic(login: str) -> str:
    """The header for a user and password as a URL has them."""
    return "Basic " + b64encode(unquote(login).encode()).decode()


def bypasses(parts: Url) -> bool:
    """Whether `no_proxy` has a URL's host: by name, as an address or in a network (10.0.0.0/8)."""
    host = (parts.host or "").strip("[]")
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        for name in urllib.request.getproxies().get("no", "").split(","):
            with contextlib.suppress(ValueError):
                if address in ipaddress.ip_network(name.strip(), strict=False):
                    return True
    return bool(urllib.request.proxy_bypass(f"{host}:{parts.port}" if parts.port else host))


def pools_through(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    """Pools of connections through a proxy, or direct ones for "".

    Raises:
        ValueError: The proxy can't be used.
    """
    if not proxy:
        return urllib3.PoolManager(64, **options)
    try:
        url = parse_url(proxy)
    except ValueError:
        url = Url()
    if not url.host:
        raise ValueError("write it as http://HOST:PORT")
    if not (url.scheme or "").startswith("socks"):
        headers = {"Proxy-Authorization": basic(url.auth)} if url.auth else None
        return urllib3.ProxyManager(url.url, 64, proxy_headers=headers, **options)
    if importlib.util.find_spec("socks") is None:
        raise ValueError("SOCKS needs PySocks: pip install pysocks")
    from urllib3.contrib.socks import SOCKSProxyManager

    user, _, password = unquote(url.auth or "").partition(":")
    scheme = "socks5h" if url.scheme == "socks" else url.scheme
    address = url._replace(scheme=scheme, auth=None).url
    return SOCKSProxyManager(address, user, password, 64, **options)
