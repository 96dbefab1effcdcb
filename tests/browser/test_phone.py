"""Every page and view on a phone of 390 × 844, with a thumb."""

import pytest
from playwright.sync_api import expect

from benchmarks.harness import READY, running_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PHONE = {"width": 390, "height": 844}
# Streamlit closes its sidebar after a choice where the browser says that it is a phone's.
AGENT = "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
VIEWS = {  # address → the views of that page, after the one that it opens with
    "/": [],
    "/?lesson=degradation": ["Neither, within 3 points"],
    "/architecture?variant=resnet50&at=layer3.2.conv2": ["Memory", "Side by side", "Export", "Published"],
    "/architecture?variant=resnet20&build=true": [],
    "/training?run=shapes-resnet20": ["More settings", "Learning rate, gradient norm", "LR finder"],
    "/comparison": ["Depth", "Surface", "Gradients"],  # Responses and Lesion measure at once, for a minute
    "/prediction?run=cifar10-resnet20": [
        "All stages", "Test-time crops", "Compare", "Sanity checks", "Localization", "Batch",
    ],
    "/runs": [],
}  # fmt: skip
CUT = """() => {
    const scrolls = (one) => {
        for (let e = one.parentElement; e && !e.matches(".stMain"); e = e.parentElement)
            if (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)) return true;
    };
    const main = document.querySelector(".stMain");
    const isCut = (one) => {
        const { left, right, width, height } = one.getBoundingClientRect();
        return width && height && (left < -1 || right > innerWidth + 1) && !scrolls(one);
    };
    const cut = [...main.querySelectorAll("*")].filter(isCut);
    if (Math.max(document.scrollingElement.scrollWidth, main.scrollWidth) > innerWidth) cut.push(main);
    return cut.map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`);
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, shapes_cache):
    """With the runs that come with the lab."""
    with running_server(tmp_path_factory.mktemp("runs"), shapes_cache) as address:
        yield address


@pytest.fixture(scope="module")
def phone(browser):
    look = {"device_scale_factor": 2, "is_mobile": True, "has_touch": True, "user_agent": AGENT}
    context = browser.new_context(viewport=PHONE, **look)
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def page(phone):
    page = phone.new_page()
    yield page
    page.close()


def touch(page, *steps):
    """Fingers that go down at the first step, move to each other one and go up; a step is a list of (x, y)."""
    session = page.context.new_cdp_session(page)
    for i, fingers in enumerate([*steps, []]):
        kind = "touchEnd" if not fingers else "touchMove" if i else "touchStart"
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def middle(place):
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pinch(page, place):
    """Two fingers that part, from 40 to 160 pixels."""
    x, y = middle(place)
    touch(page, *([(x - apart, y), (x + apart, y)] for apart in range(20, 81, 10)))


def scrolled(page):
    return page.locator(".stMain").evaluate("main => main.scrollTop")


@pytest.mark.parametrize("path", VIEWS)
def test_nothing_is_cut_and_nothing_lies_under_the_header(server, visit, path):
    page = visit(f"{server}{path}")
    header = page.get_by_test_id("stHeader").bounding_box()
    expect(page.locator(".stMain").locator("h1, h2").first).to_be_visible()
    first = page.locator(".stMain").locator("h1, button").first.bounding_box()
    assert first["y"] >= header["y"] + header["height"]
    assert page.evaluate(CUT) == []
    for name in VIEWS[path]:
        page.locator(".stMain").get_by_text(name, exact=True).first.tap()
        page.wait_for_timeout(100)  # until the press has reached the server
        page.wait_for_selector(READY)
        assert page.evaluate(CUT) == [], name
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_the_title_is_below_the_header_of_a_small_tablet(server, visit, page):
    page.set_viewport_size({"width": 700, "height": 900})
    visit(f"{server}/runs")
    header, title = page.get_by_test_id("stHeader"), page.get_by_role("heading", level=1)
    assert title.bounding_box()["y"] >= header.bounding_box()["y"] + header.bounding_box()["height"]


def test_the_sidebar_leaves_the_page_free_after_a_choice(server, visit):
    page = visit(f"{server}/runs")
    page.get_by_test_id("stExpandSidebarButton").tap()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Home").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("ResNet Lab")
    expect(page.get_by_test_id("stSidebarNavLink").first).not_to_be_in_viewport()


def test_the_diagram_is_zoomed_by_buttons_keys_and_two_fingers(server, visit):
    page = visit(f"{server}/architecture?variant=resnet50")
    drawing, frame = page.locator(".net-diagram svg").first, page.locator(".net-diagram .frame").first
    usual = drawing.bounding_box()["width"]
    page.get_by_role("button", name="Zoom in").tap()
    assert drawing.bounding_box()["width"] == pytest.approx(1.5 * usual, rel=0.02)
    assert frame.bounding_box()["width"] <= PHONE["width"]
    page.get_by_role("button", name="Fit").tap()
    assert drawing.bounding_box()["width"] == pytest.approx(usual)
    frame.focus()
    page.keyboard.press("+")
    assert drawing.bounding_box()["width"] == pytest.approx(1.5 * usual, rel=0.02)
    page.keyboard.press("0")
    pinch(page, frame)
    assert drawing.bounding_box()["width"] == pytest.approx(4 * usual, rel=0.1)  # 160 / 40
    assert page.evaluate("visualViewport.scale") == 1  # the page was not zoomed
    page.locator('[data-path="layer3.2"]').tap()
    expect(page.get_by_text("Sum of 10 rows")).to_be_visible()
    assert drawing.bounding_box()["width"] == pytest.approx(4 * usual, rel=0.1)  # a choice leaves the zoom


def test_a_thumb_on_the_diagram_scrolls_the_page(server, visit):
    page = visit(f"{server}/architecture?variant=resnet50")
    frame = page.locator(".net-diagram .frame").first
    expect(frame.locator("svg")).to_be_visible()
    scroll(page, frame)


def scroll(page, figure):
    """A thumb that begins on the figure goes up by 160 pixels, and the page with it."""
    before, (x, y) = scrolled(page), middle(figure)
    touch(page, *([(x, y - moved)] for moved in range(0, 161, 20)))
    page.wait_for_function(f"document.querySelector('.stMain').scrollTop > {before + 80}")


def test_a_chart_lets_the_page_scroll_and_is_zoomed_by_two_fingers(server, visit):
    page = visit(f"{server}/training?run=shapes-resnet20")
    chart = page.locator(".js-plotly-plot").first
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".nsewdrag").first).to_be_attached()
    span = "chart => chart._fullLayout.xaxis.range[1] - chart._fullLayout.xaxis.range[0]"
    whole = chart.evaluate(span)
    scroll(page, chart)
    assert chart.evaluate(span) == whole
    pinch(page, chart)
    assert chart.evaluate(span) == pytest.approx(whole / 4, rel=0.1)
    for _ in range(2):
        page.touchscreen.tap(*middle(chart))
    page.wait_for_function(
        "([chart, whole]) => { const [a, b] = chart._fullLayout.xaxis.range; return Math.abs(b - a - whole) < 0.1; }",
        arg=[chart.element_handle(), whole],
    )
