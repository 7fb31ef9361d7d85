from __future__ import annotations

from aistemsplitter_server.accounts.tables import Person
from customers import Customer
from visitors import Visitor


def test_the_operator_changes_an_accounts_limits(owner: Visitor, ada: Person) -> None:
    page = f"/operator/accounts/{ada.account_id}"
    assert 'name="keys" value="" placeholder="100"' in owner.get(page).text
    saved = owner.post(f"{page}/limits", {"keys": "0", "stored_bytes": "5000", "streams": ""})
    assert (saved.status_code, saved.headers["location"]) == (303, f"{page}#limits")
    shown = owner.get(page).text
    assert 'name="keys" value="0"' in shown
    assert 'name="stored_bytes" value="5000"' in shown
    assert 'name="streams" value=""' in shown
    assert "account.limits_changed" in owner.get("/operator/audit").text
    # An empty field restores the default.
    owner.post(f"{page}/limits", {"stored_bytes": "5000"})
    assert 'name="keys" value="" placeholder="100"' in owner.get(page).text
    assert owner.post(f"{page}/limits", {"keys": "-1"}).status_code == 422
    assert owner.post("/operator/accounts/acc_none/limits", {"keys": "1"}).status_code == 404


def test_a_person_at_a_limit_sees_the_reason(
    owner: Visitor, signed_in: Visitor, ada: Person, hers: Customer
) -> None:
    limits = {"queued_splits": "1", "stored_bytes": "1500"}
    owner.post(f"/operator/accounts/{ada.account_id}/limits", limits)
    reservation = {"filename": "a.wav", "contentType": "audio/wav", "contentLength": 2000}
    headers = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}
    refused = signed_in.request("POST", "/studio/uploads", json=reservation, headers=headers)
    assert refused.status_code == 409
    assert "no room left" in refused.json()["error"]["message"]
    hers.split(1)
    upload = hers.upload(1, content_length=1)
    refused = signed_in.request(
        "POST", "/studio/splits", json=hers.request(upload), headers=headers
    )
    assert refused.json()["error"]["limit"] == "queuedSplits"
    assert "limit of 1 queued songs" in refused.json()["error"]["message"]
