"""Each explorable in a real browser: it loads, moves by mouse and by key, and leaves its figure."""

import re

import pytest
from browser.conftest import ROOT, SITE

NAME = re.compile(r'data-explorable="([\w-]+)"')
PLACES = [
    (name, str(path.relative_to(SITE)))
    for path in sorted(SITE.rglob("*.html"))
    for name in NAME.findall(path.read_text(encoding="utf-8"))
]
AXE = (ROOT / "docs" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
each = pytest.mark.parametrize(("name", "path"), PLACES)
VIEW = re.compile(r"/explorables/(?!explorables)[\w-]+\.js")
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True}


SETTLE = """
async (element) => {
  const top = () => element.getBoundingClientRect().top;
  for (let before = NaN, turn = 0; top() !== before && turn < 40; turn++) {
    before = top();
    element.scrollIntoView({ block: "center" });
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  }
}
"""


def place(page, name):
    """Return where an explorable stands, in the middle of the screen and drawn there.

    Sections get their heights when they come near the screen, which moves those below.
    """
    found = page.locator(f'[data-explorable="{name}"]')
    found.evaluate(SETTLE)
    return found


def live(page, name):
    """Return an explorable once it can be used."""
    place(page, name).locator(".stage").wait_for()
    page.evaluate("document.fonts.ready.then(() => true)")
    return place(page, name)


def summary(explorable):
    return explorable.locator(".summary").inner_text()


def test_explorables_are_found():
    sources = {model.parent.name for model in (ROOT / "docs" / "explorables").glob("*/model.ts")}
    assert {name for name, _ in PLACES} == sources


@each
@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_takes_the_place_of_its_figure_and_nothing_moves(name, path, options, visit):
    held = []

    def hold(route):
        held.append(route)

    page = visit(path, before=lambda page: page.route(VIEW, hold), **options)
    explorable = place(page, name)
    for _ in range(100):
        if not held:
            page.wait_for_timeout(100)
    assert explorable.locator("img:visible").count() == 1
    height = explorable.bounding_box()["height"]
    for route in held:
        route.continue_()
    live(page, name)
    assert explorable.bounding_box()["height"] == pytest.approx(height, abs=0.5)
    assert explorable.locator("img:visible").count() == 0
    stage = explorable.locator(".stage")
    assert stage.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    for panel in stage.locator(".plane").all():
        assert min(panel.bounding_box()["width"], panel.bounding_box()["height"]) >= 90


@each
def test_handles_move_by_mouse_and_stop_at_the_edge(name, path, visit):
    explorable = live(page := visit(path), name)
    start = summary(explorable)
    for handle in explorable.locator(".handle").all():
        before, box = handle.get_attribute("aria-valuetext"), handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 23, y - 17, steps=4)
        assert handle.get_attribute("aria-valuetext") != before
        assert summary(explorable) != start
        page.mouse.move(x + 5000, y, steps=2)
        page.mouse.up()
        now = float(handle.get_attribute("aria-valuenow"))
        assert now <= float(handle.get_attribute("aria-valuemax"))
        assert "NaN" not in explorable.inner_html()
        explorable.get_by_role("button", name="Reset").click()
        assert summary(explorable) == start
    for slider in explorable.locator("input[type=range]").all():
        box, shown = slider.bounding_box(), set()
        for share in (0.2, 0.8):
            page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
            shown.add(slider.get_attribute("aria-valuetext"))
        assert len(shown) == 2
        assert "NaN" not in explorable.inner_html()
        explorable.get_by_role("button", name="Reset").click()
        assert summary(explorable) == start


@each
def test_everything_moves_by_key(name, path, visit):
    explorable = live(page := visit(path), name)
    start = summary(explorable)
    movable = [*explorable.locator(".handle").all(), *explorable.locator("input[type=range]").all()]
    for control in movable:
        control.focus()
        values = {control.get_attribute("aria-valuetext")}
        for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Home", "End"):
            page.keyboard.press(key)
            values.add(control.get_attribute("aria-valuetext"))
        assert len(values) >= 3
        assert "NaN" not in explorable.inner_html()
    for option in explorable.locator("input[type=radio]").all():
        option.check()
    assert summary(explorable) != start
    explorable.get_by_role("button", name="Reset").click()
    assert summary(explorable) == start


@each
def test_sliders_move_by_the_step_of_a_screen_reader(name, path, visit):
    explorable = live(visit(path), name)
    for slider in explorable.locator("input[type=range]").all():
        before = slider.get_attribute("aria-valuetext")
        slider.evaluate(
            "element => { const from = element.value; element.stepUp();"
            " if (element.value === from) element.stepDown();"
            " element.dispatchEvent(new Event('input', { bubbles: true })); }"
        )
        assert slider.get_attribute("aria-valuetext") != before


@each
def test_keys_of_the_browser_and_other_buttons_move_nothing(name, path, visit):
    explorable = live(page := visit(path), name)
    start, handles = summary(explorable), explorable.locator(".handle").all()
    for control in [*handles, *explorable.locator("input[type=range]").all()]:
        for modifier in ("altKey", "ctrlKey", "metaKey"):
            options = f"{{ key: 'ArrowLeft', {modifier}: true, bubbles: true, cancelable: true }}"
            press = f"element => element.dispatchEvent(new KeyboardEvent('keydown', {options}))"
            assert control.evaluate(press), "it was taken from the browser"
    for handle in handles:
        page.mouse.move(*middle(handle))
        page.mouse.down(button="right")
        page.mouse.move(*(each - 20 for each in middle(handle)))
        page.mouse.up(button="right")
    assert summary(explorable) == start


@each
def test_moves_by_touch(name, path, visit):
    explorable = live(page := visit(path, **PHONE), name)
    for handle in explorable.locator(".handle").all():
        assert handle.evaluate("element => getComputedStyle(element).touchAction") == "none"
        assert min(handle.bounding_box()["width"], handle.bounding_box()["height"]) >= 44
    if not explorable.locator(".handle").count():
        slider = explorable.locator("input[type=range]").first
        before, box = slider.get_attribute("aria-valuetext"), slider.bounding_box()
        for share in (0.2, 0.8):
            page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        assert slider.get_attribute("aria-valuetext") != before
    else:
        handle = explorable.locator(".handle").first
        before = handle.get_attribute("aria-valuetext")
        touch = page.context.new_cdp_session(page)
        for _ in range(5):  # a browser learns late that no finger scrolls a handle that is new
            handle.evaluate(SETTLE)  # the theme's button to the top covers what is high up
            x, y = middle(handle)
            for kind, points in (
                ("touchStart", [{"x": x, "y": y}]),
                ("touchMove", [{"x": x - 20, "y": y - 20}]),
                ("touchEnd", []),
            ):
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            if handle.get_attribute("aria-valuetext") != before:
                break
        assert handle.get_attribute("aria-valuetext") != before


@each
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_is_clean_for_axe_and_read_aloud(name, path, scheme, visit):
    page = visit(path, color_scheme=scheme, reduced_motion="reduce")
    explorable = live(page, name)
    page.evaluate(AXE)
    selector = f'[data-explorable="{name}"]'
    found = page.evaluate(f"axe.run({selector!r})")["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    aloud = explorable.locator("[aria-live=polite]").filter(has_text=re.compile(r"\S"))
    assert len(aloud.inner_text().split()) > 5


@each
def test_figure_stands_without_javascript(name, path, visit):
    page = visit(path, java_script_enabled=False)
    explorable = page.locator(f'[data-explorable="{name}"]')
    assert explorable.locator("img:visible").count() == 1
    assert explorable.locator(".stage").count() == 0


@each
def test_figure_stands_in_print(name, path, visit):
    explorable = live(page := visit(path), name)
    page.emulate_media(media="print")
    assert explorable.locator("img:visible").count() == 1
    assert not explorable.locator(".stage").is_visible()


def test_figure_stands_if_the_explorable_cannot_be_loaded(browser, address):
    name, path = PLACES[0]
    page = browser.new_page()
    messages = []
    page.on("console", lambda message: messages.append(message.text))
    page.route(VIEW, lambda route: route.abort())
    page.goto(f"{address}/{path}", wait_until="load")
    place(page, name)
    page.locator(f'[data-explorable="{name}"].is-still').wait_for()
    assert page.locator(f'[data-explorable="{name}"] img:visible').count() == 1
    ours = [message for message in messages if "could not be loaded" in message]
    assert len(ours) == 1
    assert name in ours[0]
    page.close()


@each
def test_works_from_the_file_system(name, path, browser):
    page = browser.new_page()
    page.goto((SITE / path).as_uri(), wait_until="load")
    assert summary(live(page, name))
    page.close()


def where(name):
    """Return the first page on which an explorable stands."""
    return next(path for each, path in PLACES if each == name)


def middle(element):
    """Return the middle of an element on the screen."""
    box = element.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_handle_stays_under_the_pointer_while_the_page_moves(visit):
    explorable = live(page := visit(where("valley")), "valley")
    handle = explorable.locator(".handle")
    x, y = middle(handle)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 10)
    page.evaluate("scrollBy(0, 80)")
    page.mouse.move(x + 41, y + 10)
    assert middle(handle) == pytest.approx((x + 41, y + 10), abs=2)
    page.mouse.up()


def test_vector_on_a_mode_stays_on_it_at_the_edge(visit):
    explorable = live(page := visit(where("growth-lab")), "growth-lab")
    handle = explorable.locator(".handle.is-accent").last  # z0
    line = explorable.locator(".mode.is-accent").last
    box = line.bounding_box()
    slope = handle.evaluate(
        "(_, line) => { const [[a, b], [c, d]] = [0, line.getTotalLength()]"
        ".map((at) => line.getPointAtLength(at)).map(({ x, y }) => [x, y]);"
        " return Math.sign((d - b) * (c - a)); }",
        line.element_handle(),
    )
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle(handle))
    page.mouse.down()
    places = []
    for share in (0.6, 0.98):
        page.mouse.move(
            x + share * box["width"] / 2, y + slope * share * box["height"] / 2, steps=4
        )
        places.append([float(each) for each in handle.get_attribute("data-at").split()])
    page.mouse.up()
    (a, b), (c, d) = places
    assert max(abs(c), abs(d)) == pytest.approx(1.5, rel=1e-9)
    assert max(abs(a), abs(b)) < 1.2
    assert a * d - b * c == pytest.approx(0, abs=1e-9)


def test_keys_lead_onto_the_line_and_say_so(visit):
    explorable = live(page := visit(where("valley")), "valley")
    handle = explorable.locator(".handle")
    handle.focus()
    assert handle.get_attribute("aria-valuetext") == "−1.199, 1.20"
    for key in ("Shift+ArrowRight", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    assert handle.get_attribute("aria-valuetext") == "−1.20, 1.20"
    assert "On the line" in summary(explorable)


def test_rates_at_which_nothing_settles_are_not_said_to_be_on_their_way(visit):
    explorable = live(page := visit(where("valley")), "valley")
    handle, sliders = explorable.locator(".handle"), explorable.locator("input[type=range]")
    assert "still falls" not in summary(explorable)
    for slider, keys in ((sliders.nth(0), ["End"]), (sliders.nth(1), ["End", *["ArrowLeft"] * 4])):
        slider.focus()
        for key in keys:
            page.keyboard.press(key)
    handle.focus()
    for key in ("End", "ArrowLeft"):
        page.keyboard.press(key)
    found = re.search(r"the loss is (\d+\.\d+)", summary(explorable))
    assert float(found[1]) > 0.01, "it has arrived"
    assert "still falls" not in summary(explorable)


def test_button_keeps_the_focus_when_it_has_nothing_left_to_do(visit):
    explorable = live(page := visit(where("sphere-walker")), "sphere-walker")
    step = explorable.get_by_role("button", name="Step")
    step.focus()
    for _ in range(95):
        page.keyboard.press("Enter")
    assert summary(explorable).startswith("Step 90 ")
    assert step.get_attribute("aria-disabled") == "true"
    assert step.evaluate("element => element === document.activeElement")


@each
def test_handles_are_seen_in_forced_colours(name, path, visit):
    explorable = live(visit(path, forced_colors="active"), name)
    ground = explorable.evaluate("() => getComputedStyle(document.body).backgroundColor")
    for dot in explorable.locator(".handle .dot").all():
        assert dot.evaluate("element => getComputedStyle(element).backgroundColor") != ground
        assert dot.evaluate("element => getComputedStyle(element).boxShadow") != "none"


def test_figure_has_its_own_caption_without_the_script(visit):
    name, path = "cliff", where("cliff")
    page = visit(path, before=lambda page: page.route("**/explorables.js*", lambda it: it.abort()))
    explorable = page.locator(f'[data-explorable="{name}"].is-still')
    explorable.wait_for()
    assert explorable.locator("img:visible").count() == 1
    assert explorable.locator(".of-figure").is_visible()
    assert not explorable.locator(".of-explorable").is_visible()
    assert all("ERR_FAILED" in message for message in page.messages)
    page.messages.clear()


@each
def test_no_number_of_an_axis_is_cut_off_in_larger_text(name, path, visit):
    explorable = live(visit(path), name)
    for size in [16, 24, 32]:
        cut = explorable.evaluate(
            """async (place, size) => {
                 document.documentElement.style.fontSize = `${size}px`;
                 for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
                 return [...place.querySelectorAll(".plane > svg")].flatMap((svg) => {
                   const frame = svg.getBoundingClientRect();
                   return [...svg.querySelectorAll("text.tick, text.name")]
                     .map((text) => [text.textContent, text.getBoundingClientRect()])
                     .filter(([, box]) => box.width && (box.left < frame.left - 1 ||
                       box.right > frame.right + 1 || box.bottom > frame.bottom + 1))
                     .map(([name]) => name);
                 });
               }""",
            size,
        )
        assert cut == [], f"{size} px"


COVERED = """
place => [...place.querySelectorAll(".plane")].flatMap((plane) => {
  const box = (element) => [element.textContent || "the dot", element.getBoundingClientRect()];
  const names = [...plane.querySelectorAll("text.label")].map(box).filter(([name]) => name.trim());
  return [...plane.querySelectorAll(".handle :is(.dot, .sign)")].map(box).flatMap(([sign, a]) =>
    names
      .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
      .map(([name]) => `${name} by ${sign}`));
})
"""


@each
@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_no_name_lies_under_a_handle_at_first(name, path, options, visit):
    assert live(visit(path, **options), name).evaluate(COVERED) == []


OVERLAPS = """
place => {
  const found = new Set();
  const look = () => {
    for (const svg of place.querySelectorAll(".plane > svg")) {
      const texts = [...svg.querySelectorAll("text")]
        .map((text) => [text.textContent, text.getBoundingClientRect()])
        .filter(([name, box]) => name.trim() && box.width);
      texts.forEach(([name, a], index) => texts.slice(index + 1).forEach(([other, b]) => {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 2 && down > 4) found.add(`${name} and ${other}`);
      }));
      const inner = svg.querySelector("svg");
      if (!inner) continue;
      const [x, y, width, height] = ["x", "y", "width", "height"]
        .map((name) => +inner.getAttribute(name));
      const { left, top } = svg.getBoundingClientRect();
      for (const label of inner.querySelectorAll("text.label")) {
        const box = label.getBoundingClientRect();
        const across = Math.max(left + x - box.left, box.right - left - x - width);
        const down = Math.max(top + y - box.top, box.bottom - top - y - height);
        const isSeen = across < box.width && down < box.height;
        if (isSeen && Math.max(across, down) > 4) found.add(`${label.textContent} is cut off`);
      }
    }
  };
  const sliders = [...place.querySelectorAll("input[type=range]")];
  const set = (slider, share) => {
    slider.value = +slider.min + share * (slider.max - slider.min);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const each = (rest) => {
    if (!rest.length) return look();
    for (const share of [0, 0.25, 0.5, 0.75, 1]) { set(rest[0], share); each(rest.slice(1)); }
  };
  const press = (handle, key, times = 1) => {
    const event = () => new KeyboardEvent("keydown", { key, bubbles: true });
    while (times--) handle.dispatchEvent(event());
  };
  const rows = (handle) => {
    press(handle, "ArrowUp", 100);
    for (let row = 0; row < 12; row++) {
      press(handle, "Home");
      for (let column = 0; column < 12; column++) { look(); press(handle, "ArrowRight", 5); }
      press(handle, "ArrowDown", 5);
    }
  };
  const radios = [...place.querySelectorAll("input[type=radio]")];
  for (const radio of radios.length ? radios : [undefined]) {
    radio?.click();
    look();
    place.querySelectorAll(".handle").forEach(rows);
    each(sliders);
    sliders.forEach((slider) => set(slider, 0.5));
  }
  return [...found];
}
"""


@each
@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_names_neither_overlap_nor_are_cut_off_where_it_is_moved(name, path, options, visit):
    explorable = live(visit(path, **options), name)
    assert explorable.evaluate(OVERLAPS) == []
