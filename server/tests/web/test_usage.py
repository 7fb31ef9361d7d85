from __future__ import annotations

import csv
import re
from io import StringIO

import pytest

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import deletion
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import chart, pages
from customers import Customer
from visitors import Visitor

PAGE = "/settings/usage"


def cells(page: str) -> list[list[str]]:
    """Return the rows of the ledger, without markup."""
    table = page[page.rindex("<tbody>") : page.rindex("</tbody>")]
    table = re.sub(r'<span class="faint note phone">.*?</span>', "", table)  # the time is repeated
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row.split("</td>")[:-1]]
        for row in rows
    ]


def test_usage_and_ledger(signed_in: Visitor, database: Database, ada: Person) -> None:
    with database.write() as session:
        credits.charge(session, ada.account_id, "split_a", 95)
        credits.charge(session, ada.account_id, "split_b", 61)
        credits.refund(session, ada.account_id, "split_b", "split failed: CANCELED")
        credits.grant(session, ada.account_id, 3000, "pack of 50 minutes, bought as pur_1")
    page = signed_in.get(PAGE)
    assert page.headers["cache-control"] == "no-store"
    figures = re.findall(r'class="figure">([^<]*)<', page.text)
    assert figures[:3] == ["58:25 min", "1:35 min", "1"]
    today = times.now().date()
    assert f"<title>{today}: 1:35 min</title>" in page.text
    assert page.text.count('class="bar"') == 30
    assert [row[1:] for row in cells(page.text)] == [
        ["Credit Pack of 50 minutes", "+50:00", "58:25"],
        ["Refunded split_b Cancelled.", "+1:01", "8:25"],
        ["Split split_b", "−1:01", "7:24"],
        ["Split split_a", "−1:35", "8:25"],
        ["Credit Free credits of a new account", "+10:00", "10:00"],
    ]
    assert signed_in.get(f"{PAGE}?days=90").text.count('class="bar"') == 90
    assert signed_in.get(f"{PAGE}?days=31").text.count('class="bar"') == 30
    assert signed_in.get(f"{PAGE}?days=x").status_code == 422


def test_a_song_in_the_ledger(signed_in: Visitor, database: Database, adas: Customer) -> None:
    split = adas.split()
    with database.write() as session:
        session.get_one(Split, split.id).filename = "<script>1</script>.mp3"
    page = signed_in.get(PAGE).text
    assert f'<a href="/studio/songs/{split.id}">&lt;script&gt;1&lt;/script&gt;.mp3</a>' in page
    assert "<script>1" not in page
    with database.write() as session:
        deletion.delete(session, session.get_one(Split, split.id))
    page = signed_in.get(PAGE).text
    assert f"/studio/songs/{split.id}" not in page
    assert split.id in page
    assert "script&gt;1" not in page


def test_pages_of_the_ledger(signed_in: Visitor, database: Database, ada: Person) -> None:
    with database.write() as session:
        for number in range(30):
            credits.charge(session, ada.account_id, f"split_{number}", 10)
    first = signed_in.get(PAGE).text
    older = re.search(r"days=30&amp;before=(\d+)", first)
    assert older
    second = signed_in.get(f"{PAGE}?before={older[1]}").text
    balances = [row[3] for row in (*cells(first), *cells(second))]
    assert len(balances) == 31
    assert balances == [pages.credit(300 + 10 * number) for number in range(31)]
    assert "before=" not in second


def test_the_ledger_for_a_spreadsheet(
    signed_in: Visitor, database: Database, ada: Person, someone: Customer
) -> None:
    with database.write() as session:
        credits.grant(session, ada.account_id, 60, '=HYPERLINK("https://evil.example")')
        credits.grant(session, someone.caller.account_id, 77, "theirs")
    answer = signed_in.get(f"{PAGE}/ledger.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="ledger.csv"'
    assert answer.headers["cache-control"] == "no-store"
    _, _, row = csv.reader(StringIO(answer.text, newline=""))
    assert row[1:] == ["grant", "60", "660", "", '\'=HYPERLINK("https://evil.example")']


def test_not_signed_in(visitor: Visitor) -> None:
    for path in (PAGE, f"{PAGE}/ledger.csv"):
        assert visitor.get(path).headers["location"] == f"/sign-in?next={path}"


@pytest.mark.parametrize(
    ("highest", "lines"),
    [
        (0, [1]),
        (0.5, [1]),
        (3.2, [1, 2, 3, 4]),
        (7, [2, 4, 6, 8]),
        (20, [5, 10, 15, 20]),
        (29, [10, 20, 30]),
        (3500, [1000, 2000, 3000, 4000]),
    ],
)
def test_the_grid_lines_of_a_chart_are_round_numbers(highest: float, lines: list[int]) -> None:
    drawn = chart.bars([0, highest / 2, highest])
    assert [minutes for _, minutes in drawn.lines] == lines
    assert all(0 <= y < chart.HEIGHT for y, _ in drawn.lines)
    for bar in drawn.bars:
        assert round(bar.y + bar.height, 1) == chart.HEIGHT
        assert bar.y >= 0
    assert drawn.bars[0].height == 0
    assert drawn.bars[-1].label
    assert drawn.bars[-1].x + drawn.bars[-1].width <= 100


def test_stacked_charts() -> None:
    behind = chart.bars([4, 1, 0], height=80)
    before = chart.bars([3, 0, 0], height=80, highest=4)
    assert before.lines == behind.lines
    assert [bar.height for bar in behind.bars] == [80, 20, 0]
    assert [bar.height for bar in before.bars] == [60, 0, 0]
