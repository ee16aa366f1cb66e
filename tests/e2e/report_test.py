"""The report of a run and of a comparison, opened in Chromium: both themes, phone width, print, hostile names.

LORIKEET_SCREENSHOTS=FOLDER keeps the screenshots.
"""
import json
import os
import re
import statistics
import unittest
from pathlib import Path

from browser import Browser, needs_browser, pixels
from command import RECIPE, CommandTest, digit_of, main

HOSTILE = "<img src=x onerror=document.title=666>", "\"'&amp;</title><script>document.title=667<", "‮zyx 🦜 ünï"


def keep(name, png):
    if folder := os.environ.get("LORIKEET_SCREENSHOTS"):
        (Path(folder) / name).write_bytes(png)


class ReportTest(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train_run("validation=128", "epochs=4")
        cls.report = cls.run_folder / "report.html"


class Report(ReportTest):
    def text(self):
        return self.report.read_text()

    def test_is_one_file_without_scripts(self):
        text = self.text()
        self.assertNotRegex(text, r"<script|<link|<iframe|javascript:|@import|url\(|\son\w+=")
        for reference in re.findall(r"""(?:src|href)=["']([^"']*)""", text):
            self.assertRegex(reference, r"^data:image/jpeg;base64,[A-Za-z0-9+/]+=*$")
        self.assertNotRegex(text, "https?://")
        self.assertLess(len(text), 600_000)

    def test_says_what_the_summary_says(self):
        text = self.text()
        own = json.loads((self.run_folder / "summary.json").read_text())
        for figure in f"{own['test']['accuracy']:.4f}", f"{own['trainable_parameters']:,}":
            self.assertIn(figure, text)
        summary = self.json("compare", self.recipe(), "--runs", self.folder, "epochs=1", "train_limit=32")[0]["summary"]
        self.assertIn("accuracy", summary["test"])  # another run, whose report is its own
        self.assertTrue((self.folder / "recipe/report.html").exists())
        for words in "Confusion matrix", "Most confident mistakes", "conv_head", "blocks.6", "libtorch", "epoch kept":
            self.assertIn(words, text)

    def test_csv(self):
        steps = (self.run_folder / "steps.csv").read_text().splitlines()
        self.assertEqual(steps[0], "step,epoch,loss,learning_rate,seconds")
        self.assertEqual(len(steps), 1 + 4 * 16)
        epochs = (self.run_folder / "epochs.csv").read_text().splitlines()
        self.assertEqual(len(epochs), 1 + 4)
        self.assertIn("validation_macro_f1", epochs[0].split(","))

    def test_is_beside_the_adapter(self):
        self.assertFalse((self.run_folder / "adapter/report.html").exists())


@needs_browser
class InBrowser(ReportTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def check_page(self):
        browser = self.browser
        self.assertEqual(browser.evaluate("document.querySelectorAll('script,link,iframe,object').length"), 0)
        self.assertLessEqual(
            browser.evaluate("document.documentElement.scrollWidth"), browser.evaluate("innerWidth"), "page is too wide"
        )
        self.assertTrue(browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"))
        self.assertEqual([line for line in browser.console() if "favicon" not in line], [])

    def count(self, selector):
        return self.browser.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def look(self, path, name, **how):
        self.browser.show(path, **how)
        self.check_page()
        png = self.browser.screenshot(1100 if how.get("width", 1200) < 600 else 1500)
        keep(f"{name}.png", png)
        return png

    @staticmethod
    def brightness(png):
        width, height, rows = pixels(png)
        return statistics.mean(sum(p) / 3 for row in rows[:: max(1, height // 60)] for p in row[:: max(1, width // 60)])

    def test_both_themes_and_phone(self):
        light = self.brightness(self.look(self.report, "report-light", theme="light"))
        dark = self.brightness(self.look(self.report, "report-dark", theme="dark"))
        self.assertGreater(light, 220)
        self.assertLess(dark, 60)
        self.look(self.report, "report-phone", width=360, height=740, theme="light")
        self.look(self.report, "report-phone-dark", width=360, height=740, theme="dark")
        # Text of charts stays readable on a phone.
        height = self.browser.evaluate("document.querySelector('.charts svg text').getBoundingClientRect().height")
        self.assertGreater(height, 9)

    def test_content(self):
        browser = self.browser
        browser.show(self.report)
        self.assertEqual(self.count(".charts svg"), 3)
        self.assertEqual(self.count('svg[aria-label="Confusion matrix"] rect'), 100)
        self.assertGreater(browser.evaluate("document.images.length"), 0)
        self.assertEqual(self.count(".l.a"), 2)  # blocks.6.0.conv_pwl, conv_head
        self.assertEqual(self.count(".l.t"), 1)  # classifier
        frozen = browser.evaluate("getComputedStyle(document.querySelector('.l:not(.a):not(.t)')).backgroundColor")
        lit = browser.evaluate("getComputedStyle(document.querySelector('.l.a')).backgroundColor")
        self.assertNotEqual(frozen, lit)

    def test_contrast(self):
        """Text has a contrast of at least 4.5 to 1 (WCAG AA) in both themes."""
        script = """(() => {
          const rgb = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
          const linear = v => v <= 10 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
          const l = c => { const [r, g, b] = rgb(c).map(linear); return .2126 * r + .7152 * g + .0722 * b; };
          const back = e => {
            for (; e; e = e.parentElement) {
              const c = getComputedStyle(e).backgroundColor;
              if (!/, 0\\)$/.test(c)) return c;
            }
            return 'rgb(255,255,255)';
          };
          let worst = 99;
          for (const e of document.querySelectorAll('h1,h2,p,td,th,b,figcaption,.tile span,summary,pre,li')) {
            if (!e.textContent.trim()) continue;
            const a = l(getComputedStyle(e).color), b = l(back(e));
            worst = Math.min(worst, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
          }
          return worst; })()"""
        for theme in "light", "dark":
            self.browser.show(self.report, theme=theme)
            self.assertGreater(self.browser.evaluate(script), 4.5, theme)

    def test_print(self):
        self.browser.show(self.report, theme="dark")
        pdf = self.browser.pdf()
        self.assertTrue(pdf.startswith(b"%PDF"))
        self.browser.show(self.report, theme="dark", media="print")
        self.assertGreater(self.brightness(self.browser.screenshot(800)), 200)

    def test_hostile_class_names(self):
        names = dict(zip((0, 1, 7), HOSTILE))
        root = self.folder / "images"
        for image in (i for i in self.digits(60) if digit_of(i) in map(str, names)):
            name = names[int(digit_of(image))].replace("/", "∕")
            for split in "train", "test":
                to = root / split / name
                to.mkdir(parents=True, exist_ok=True)
                (to / image.name).write_bytes(image.read_bytes())
        recipe = self.folder / "<b>r.yaml"
        recipe.write_text(RECIPE.replace("data: mnist", f"data: {root}").replace("train_limit: 512\n", ""))
        run = self.folder / "<img src=x>"
        self.lorikeet("train", recipe, f"run={run}", "epochs=1", "learning_rate=1e-5")
        from urllib.parse import quote

        self.browser.show(quote(str(run / "report.html")))
        self.check_page()
        self.assertNotRegex(self.browser.evaluate("document.title"), "^66")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('img:not([src^=\"data:\"])').length"), 0)
        self.assertIn(HOSTILE[0], self.browser.evaluate("document.body.textContent"))

    def test_comparison(self):
        other = self.folder / "lower.yaml"
        other.write_text(RECIPE + "reference: {title: '<i>paper</i>', trainable: 2.7M, accuracy: 0.965}\n")
        page = self.folder / "comparison.html"
        self.lorikeet(
            "compare", self.recipe(), other, "--runs", self.folder / "runs", "--html", page, "validation=64", "epochs=3"
        )
        png = self.look(page, "comparison", theme="light")
        self.assertGreater(self.brightness(png), 200)
        text = self.browser.evaluate("document.body.innerText")
        self.assertIn("<i>paper</i>", text)
        self.assertIn("0.965", text)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('.charts svg').length"), 3)
        self.look(page, "comparison-phone", width=360, height=740, theme="dark")


if __name__ == "__main__":
    main()
