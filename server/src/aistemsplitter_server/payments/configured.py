"""What takes payments by the settings."""

from __future__ import annotations

from importlib.util import find_spec

from aistemsplitter_server.kit.settings import PREFIX, Settings, WrongSetting
from aistemsplitter_server.payments.interface import Payments
from aistemsplitter_server.payments.stripe import StripePayments


def configured(settings: Settings) -> Payments | None:
    """Stripe if there are keys for it; None: packs are granted by the operator.

    Raises:
        WrongSetting: there are keys, but not the library.
    """
    key, secret = settings.stripe_secret_key, settings.stripe_webhook_secret
    if key is None or secret is None:
        return None
    if find_spec("stripe") is None:
        raise WrongSetting(
            f"{PREFIX}STRIPE_SECRET_KEY: needs Stripe's library:"
            " pip install 'aistemsplitter-server[stripe]'"
        )
    return StripePayments(
        key.get_secret_value(), secret.get_secret_value(), settings.stripe_api_url
    )
