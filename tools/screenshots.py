"""`python tools/screenshots.py REPORT`: the pictures of docs/images, from the report that `make demo` writes.

They show the first screen of the report in a browser: light, dark and on a telephone. Needs Debian's package chromium.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "images"
SCREENS = {"light": (1280, 800, "light"), "dark": (1280, 800, "dark"), "phone": (390, 844, "light")}  # CSS pixels
MOST = 150_000  # bytes of a picture
READY = 60_000  # ms until the model in the page answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="report.html of the study digits")
    report = parser.parse_args().report.resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, scheme) in SCREENS.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.goto(report.as_uri())
            frame = tab.frame_locator("iframe").first
            frame.locator("html[data-ready]").wait_for(timeout=READY)
            tab.wait_for_timeout(1000)  # the map is drawn
            write(tab.screenshot(), FOLDER / f"demo-{name}.webp")
            tab.close()
        browser.close()


def write(screenshot: bytes, path: Path) -> None:
    """Write a screenshot as WebP: without loss, or with loss if it would be large."""
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    for options in ({"lossless": True}, {"quality": 90}, {"quality": 75}):
        buffer = io.BytesIO()
        image.save(buffer, "webp", method=6, **options)
        if buffer.tell() <= MOST:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path}: {buffer.tell():,} bytes")


if __name__ == "__main__":
    main()
