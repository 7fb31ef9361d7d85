"""The payment provider that the settings choose."""

from __future__ import annotations

from importlib.util import find_spec

from aistemsplitter_server.kit.settings import PREFIX, Settings, WrongSetting
from aistemsplitter_server.payments.interface import Payments
from aistemsplitter_server.payments.stripe import StripePayments


def configured(settings: Settings) -> Payments | None:
    """Return Stripe if its keys are set; None if only the operator grants packs.

    Raises:
        WrongSetting: The keys are set, but Stripe's library is not installed.
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
