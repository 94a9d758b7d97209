"""The page in a headless Chromium, against Python."""

import http.server
import threading

import cv2
import numpy as np
import pytest

from benchmarks import web as comparison
from samtl import web
from samtl.faces import inputs
from tests.web import photos

pytest.importorskip("playwright", reason="playwright is not installed")
if comparison.chromium() is None:
    pytest.skip("no Chromium on the path", allow_module_level=True)
if not web.is_complete():
    pytest.skip(
        "no onnxruntime-web: python -m samtl.web --fetch",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser with the sample clip as its camera, and the page's address."""
    clip = tmp_path_factory.mktemp("camera") / "clip.y4m"
    photos.save_clip(clip)
    flags = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={clip}",
    )
    with comparison.browser(*flags) as opened:
        yield opened


@pytest.fixture(scope="module")
def errors():
    """What pages report in the console, and exceptions."""
    return []


@pytest.fixture(scope="module")
def page(chromium, errors):
    """The page, without its copy for offline use."""
    browser, address = chromium
    with browser.new_context(service_workers="block") as context:
        yield _opened(context, address, errors)


@pytest.fixture(autouse=True)
def _no_errors(errors):
    errors.clear()
    yield
    assert not errors


def _opened(context, address, errors):
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(error.message))
    page.on(
        "console",
        lambda line: errors.append(line.text) if line.type == "error" else None,
    )
    page.goto(address)
    return page


def _clear(page):
    page.evaluate(
        """() => document.querySelectorAll("#photos .remove")
          .forEach((button) => button.click())"""
    )


def test_labels_are_those_of_python(page, tmp_path):
    paths = photos.save_all(tmp_path)
    assert len(paths) == 50
    found = comparison.of_page(page, paths)
    _clear(page)
    result = comparison.agreement(found, comparison.of_python(paths))
    assert result.faces > 80
    assert result.alone == 0
    assert result.sure > 150
    assert result.same >= 0.99
    assert result.differences.max() <= 0.01


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "size", [(45, 30), (37, 50), (90, 31), (1, 1), (120, 84), (180, 120)]
)
def test_resizing_is_that_of_opencv(page, size, channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 90, channels), dtype=np.uint8)
    found = page.evaluate(
        """async ([data, width, height, channels, size]) => {
          const {resize} = await import("/pixels.js");
          return [...resize({data, width, height, channels}, ...size).data];
        }""",
        [image.ravel().tolist(), 90, 60, channels, size],
    )
    mode = cv2.INTER_AREA if size[1] < 60 else cv2.INTER_LINEAR
    expected = cv2.resize(image, size, interpolation=mode)
    differences = np.abs(np.array(found) - expected.ravel())
    assert differences.max() <= 1
    assert np.mean(differences > 0) < 0.01


def test_frames_of_the_camera_are_labelled(page):
    button = page.get_by_role("button", name="Use the camera")
    button.click()
    face = page.locator("#live .face").first
    face.wait_for(timeout=comparison.TIMEOUT)
    label = face.locator("[data-task=pose] summary .label")
    assert label.inner_text() == "frontal"
    assert page.locator("#live .face").count() == 1
    # Of further frames, too, and the face keeps its number.
    share = face.locator("[data-task=age] summary data")
    before = share.get_attribute("value")
    page.locator(f'#live summary data:not([value="{before}"])').first.wait_for()
    assert face.get_by_role("heading").inner_text() == "Face 1"
    page.get_by_role("button", name="Stop the camera").click()
    button.wait_for()
    assert page.locator("#live .face").count() == 0


def test_unreadable_files_are_named(page, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"not a photo")
    page.locator("#files").set_input_files([path, inputs.portrait()])
    page.locator(".face").wait_for(timeout=comparison.TIMEOUT)
    article = page.locator("article", has_text="broken.jpg")
    assert "convert it to JPEG or PNG" in article.inner_text()
    _clear(page)


def test_keyboard_and_screen_reader(page):
    page.locator("#files").focus()
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text() == "Use the camera"
    page.locator("#files").set_input_files(inputs.portrait())
    page.locator(".face").wait_for(timeout=comparison.TIMEOUT)
    assert "Face 1: neutral" in page.get_by_role("status").inner_text()
    page.keyboard.press("Tab")
    assert focused.inner_text() == "Remove"
    page.keyboard.press("Tab")
    items = page.locator("[data-task=emotion] li")
    assert not items.first.is_visible()
    page.keyboard.press("Enter")
    assert items.first.is_visible()
    assert items.count() == 8
    page.get_by_role("button", name="Remove").press("Enter")
    assert page.locator("article").count() == 0
    assert page.evaluate("document.activeElement.id") == "files"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(page, scheme, tmp_path):
    broken = tmp_path / f"{'long_name_' * 8}.jpg"
    broken.write_bytes(b"not a photo")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#files").set_input_files([inputs.portrait(), broken])
    page.get_by_text(f"{broken.name}: This").wait_for(
        timeout=comparison.TIMEOUT
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    colour = "getComputedStyle(document.body).backgroundColor"
    level = int(page.evaluate(colour).split("(")[1].split(",")[0])
    assert (level < 128) == (scheme == "dark")
    _clear(page)


def test_nothing_leaves_the_machine(page, errors):
    """Neither page nor worker reaches another server."""
    reached = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            reached.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        send = f"""fetch("http://127.0.0.1:{elsewhere.server_port}/",
          {{mode: "no-cors"}}).then(() => "sent", () => "refused")"""
        assert page.evaluate(send) == "refused"
        assert page.workers[0].evaluate(send) == "refused"
        elsewhere.shutdown()
    assert not reached
    assert all("Content Security Policy" in error for error in errors)
    errors.clear()


def test_works_offline(chromium, errors):
    browser, address = chromium
    with browser.new_context() as context:
        page = _opened(context, address, errors)
        page.get_by_text("works offline").wait_for(timeout=comparison.TIMEOUT)
        context.set_offline(True)
        page.reload()
        page.locator("#files").set_input_files(inputs.portrait())
        page.locator(".face").wait_for(timeout=comparison.TIMEOUT)
        errors.clear()  # the failed updates
