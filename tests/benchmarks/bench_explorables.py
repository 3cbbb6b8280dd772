"""How long an explorable takes to answer a drag: script, style and layout, in a real browser.

Once at the machine's own speed and once four times slower; the numbers are only shown.
"""

from statistics import median

import pytest
from browser.conftest import address, browser  # noqa: F401  # fixtures
from browser.test_explorables import PLACES, live, summary

DRAG = """(place) => {
  const stage = place.querySelector(".stage"), times = [];
  const handle = stage.querySelector(".handle"), slider = stage.querySelector("input[type=range]");
  const box = (handle ?? slider).getBoundingClientRect();
  const at = (k) => ({
    pointerId: 1, bubbles: true,
    clientX: box.x + box.width / 2 + 20 * Math.sin(k / 5), clientY: box.y + box.height / 2 + k % 9,
  });
  if (handle) {
    handle.setPointerCapture = () => {};
    handle.dispatchEvent(new PointerEvent("pointerdown", at(0)));
  }
  for (let k = 1; k <= 120; k++) {
    const start = performance.now();
    if (handle) handle.dispatchEvent(new PointerEvent("pointermove", at(k)));
    else {
      slider.value = Number(slider.min) + ((k % 40) / 40) * (slider.max - slider.min);
      slider.dispatchEvent(new Event("input"));
    }
    stage.getBoundingClientRect();
    times.push(performance.now() - start);
  }
  return times;
}"""


@pytest.mark.parametrize(("name", "path"), PLACES)
def test_redraw(name, path, browser, address):  # noqa: F811
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/{path}", wait_until="load")
    place = live(page, name)
    start = summary(place)
    found = []
    for slower in (1, 4):
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
        times = place.evaluate(DRAG)
        assert summary(place) != start, "the drag moved nothing"
        found.append(f"{median(times):.1f} ms (longest {max(times):.0f})")
    print(f"{name}: {found[0]}; four times slower {found[1]}")
    page.close()
