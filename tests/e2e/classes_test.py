"""The class names of an adapter without lorikeet.json, as PEFT writes one: from the data, or from --classes."""
import json
import shutil

from command import CommandTest, digit_of, main

NAMES = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]


class Classes(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run = cls.train_run("epochs=3")
        cls.named = run / "adapter"
        cls.adapter = cls.shared / "pefts"
        shutil.copytree(cls.named, cls.adapter)
        (cls.adapter / "lorikeet.json").unlink()
        cls.images = cls.digits(80)
        # Sorted, the folders are not in the order of the digits.
        cls.order = sorted(NAMES)
        for image in cls.images:
            to = cls.shared / "images/test" / cls.order[int(digit_of(image))]
            to.mkdir(parents=True, exist_ok=True)
            (to / image.name).write_bytes(image.read_bytes())
        cls.model = "--model", "efficientnet_lite0"

    def classes_file(self, content, name="classes.txt"):
        path = self.folder / name
        path.write_text(content)
        return path

    def test_the_data_names_them(self):
        found = self.json("eval", self.adapter, *self.model, f"data={self.shared / 'images'}")
        self.assertEqual(found["confusion"]["labels"], self.order)
        self.assertEqual(found["total"], 80)
        self.assertEqual(sum(map(sum, found["confusion"]["images"])), 80)

    def test_a_file_names_them(self):
        image = self.images[0]
        plain = self.json("predict", self.adapter, *self.model, image)[0]["predictions"][0]
        self.assertEqual(plain["label"] if "label" in plain else plain["class"], str(plain["index"]))
        for content, name in (
            ("\n".join(NAMES) + "\n", "lines.txt"),
            ("\ufeff" + "\r\n".join(NAMES) + "\r\n\r\n", "windows.txt"),
            (json.dumps(NAMES), "list.json"),
            (json.dumps({str(i): name for i, name in enumerate(NAMES)}), "object.json"),
            (json.dumps({"id2label": {str(9 - i): name for i, name in enumerate(reversed(NAMES))}}), "config.json"),
        ):
            with self.subTest(name):
                given = "--classes", self.classes_file(content, name)
                found = self.json("predict", self.adapter, *self.model, image, *given)[0]["predictions"][0]
                self.assertEqual(found["label"] if "label" in found else found["class"], NAMES[plain["index"]])

    def test_refused(self):
        data = f"data={self.shared / 'images'}"
        self.assert_refused(
            2,
            ["classes", "9 names", "10"],
            "eval",
            self.adapter,
            *self.model,
            data,
            "--classes",
            self.classes_file("\n".join(NAMES[1:])),
        )
        for content, words in (
            ("", ["no class names"]),
            ("a\n\nb\n", ["an empty name"]),
            ("a\na\n", ["'a' twice"]),
            ('{"0": "a", "2": "b"}', ["'2'"]),
            ("[1", ["classes.txt"]),
        ):
            given = "--classes", self.classes_file(content)
            self.assert_refused(1, ["classes.txt", *words], "eval", self.adapter, *self.model, data, *given)


if __name__ == "__main__":
    main()
