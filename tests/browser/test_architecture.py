"""The architecture page in a browser: what AppTest cannot do, above all clicks in the diagram and the table."""

import csv
from xml.etree import ElementTree

import pytest
from playwright.sync_api import expect

from benchmarks.harness import READY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def test_a_block_chosen_in_the_diagram_selects_its_rows(server, visit, page):
    visit(f"{server}/architecture?variant=resnet50")
    page.locator('[data-path="layer3.2"]').click()
    expect(page.get_by_text("Sum of 10 rows")).to_be_visible()
    assert "at=layer3.2&open=1-1-3" in page.url
    expect(page.get_by_role("combobox", name="Of")).to_have_value("block layer3.2")
    page.locator('[data-path="layer3.2.conv2"]').focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("layer3.2.conv2", exact=False).first).to_be_visible()
    expect(page.locator(".katex").first).to_be_visible()
    page.reload()
    expect(page.locator(".katex").first).to_be_visible()  # the link restores it


def test_a_row_chosen_in_the_table_marks_its_block(server, visit, page):
    visit(f"{server}/architecture?variant=resnet20")
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 120, box["y"] + 38 + 35 * 3 + 17)  # the fourth row
    expect(page.locator(".katex").first).to_be_visible()
    assert "at=layer1.0.conv1" in page.url
    assert page.locator("svg style").first.text_content().count("layer1.0") >= 2


def test_a_long_stage_unfolds_and_folds(server, visit, page):
    visit(f"{server}/architecture?variant=resnet1202")
    page.locator('[data-path="fold:2"]').click()
    expect(page.get_by_text("Stage 2, all 200 blocks")).to_be_visible()
    page.locator('[data-path="layer2.150"]').click()
    expect(page.get_by_text("block 151")).to_be_visible()
    page.locator('[data-path="fold:2"]').click()
    expect(page.get_by_text("Stage 2, all 200 blocks")).to_have_count(0)


def test_downloads_hold_the_net(server, visit, page):
    visit(f"{server}/architecture?variant=resnet20&depth=blocks")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = list(csv.DictReader(download.value.path().open()))
    assert sum(int(row["parameters"]) for row in rows) == 269_722
    visit(f"{server}/architecture?variant=resnet20&section=Export")
    with page.expect_download() as download:
        page.get_by_role("button", name="Diagram", exact=True).click()
    assert download.value.suggested_filename == "resnet20.svg"
    assert ElementTree.parse(download.value.path()).getroot().tag.endswith("svg")
    with page.expect_download() as download:
        page.get_by_role("button", name="ONNX", exact=True).click()
    assert download.value.path().stat().st_size > 4 * 269_722


def test_a_net_of_ones_own_from_form_to_training(server, visit, page):
    visit(f"{server}/architecture?variant=resnet20")
    page.get_by_text("Build your own", exact=True).click()
    blocks, width = (page.get_by_label(name, exact=True) for name in ("Blocks per stage", "Width"))
    blocks.fill("0")
    blocks.press("Enter")
    expect(page.get_by_test_id("stAlert").first).to_contain_text(
        "it may be a list of 1 to 6, each a whole number from 1"
    )
    page.wait_for_selector(READY)  # a value typed while the page is drawn anew is lost
    blocks.fill("3, 3, 3")
    blocks.press("Enter")
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    page.wait_for_selector(READY)
    width.fill("8")
    width.press("Enter")
    expect(page.locator("dd").first).to_have_text("68,050")
    link = page.url
    page.get_by_role("link", name="Train this net").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Training")
    expect(page.get_by_role("combobox", name="Net")).to_have_value("my_resnet20")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Architecture").click()
    expect(page.get_by_label("Width", exact=True)).to_have_value("8")  # the menu loses nothing
    visit(link)
    expect(page.get_by_label("Width", exact=True)).to_have_value("8")
