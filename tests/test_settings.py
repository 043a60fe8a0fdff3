"""A configuration is either wholly right, or refused with file, key, what came and what was expected."""

from pathlib import Path

import pytest

from pluribus import settings
from pluribus.errors import ConfigError
from pluribus.store import Store

MODEL = 'weights = "m.safetensors"\nsha256 = ""\nwidth = 8\nlicence = "none"\narchitecture = "RN50"\n'
SHOP = 'vertical = ""\n[[feeds]]\nsource = "a.csv"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "pluribus.toml", 'data_root = "data"\nstore = "store"\n[shop]\nmodel = "m"\n')
    write(tmp_path, "models/m.toml", MODEL)
    write(tmp_path, "shops/a.toml", SHOP)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings.load(str(folder))
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_shop_lies_over_defaults_and_blank_means_default(folder: Path) -> None:
    write(folder, "pluribus.toml", '[shop]\nmodel = "m"\nvertical = "fashion"\n[shop.limits]\nshrink = 0.3\nrows = 7\n')
    write(folder, "shops/a.toml", 'vertical = ""\n[limits]\nrows = 9\n')
    shop = settings.load(str(folder)).shop("a")
    assert (shop.vertical, shop.limits.shrink, shop.limits.rows) == ("fashion", 0.3, 9)


def test_relative_sources_start_at_the_data_root(folder: Path) -> None:
    write(
        folder,
        "shops/a.toml",
        '[[feeds]]\nsource = ["x/a.csv", "/abs/b.csv", "s3://bucket/c.csv"]\n[images]\nsource = "x/i.tar"\n',
    )
    shop = settings.load(str(folder)).shop("a")
    assert shop.feeds[0].source == (f"{folder}/data/x/a.csv", "/abs/b.csv", "s3://bucket/c.csv")
    assert shop.images.source == (f"{folder}/data/x/i.tar",)


def test_environment_in_places(folder: Path) -> None:
    write(folder, "pluribus.toml", 'data_root = "$ROOT"\n[shop]\nmodel = "m"\n')
    assert settings.load(str(folder), env={"ROOT": "/else"}).shop("a").feeds[0].source == ("/else/a.csv",)
    with pytest.raises(ConfigError, match="ROOT is not set"):
        settings.load(str(folder), env={})


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("shops/a.toml", SHOP + "[limits]\nshrinkage = 1\n", ["shops/a.toml", "limits.shrinkage", "shrink"]),
        ("shops/a.toml", "colour = 1\n", ["shops/a.toml", "unknown key 'colour'"]),
        ("shops/a.toml", SHOP + "[limits]\nshrink = 7\n", ["limits.shrink", "7", "less than or equal to 1"]),
        ("shops/a.toml", SHOP + 'mode = "append"\n', ["feeds.0.mode", "append", "snapshot"]),
        ("shops/a.toml", SHOP + "[fusion]\nimage = 0\ntext = 0\n", ["fusion", "above 0"]),
        ("shops/a.toml", SHOP + '[limits]\nshrink = "a', ["shops/a.toml", "valid TOML"]),
        (
            "shops/a.toml",
            SHOP + '[[feeds]]\nsource = "b.csv"\n',
            ["feeds.1.mode", "delta", "source = ["],
        ),
        ("shops/a.toml", 'model = "huge"\n', ["model 'huge'", "one of m"]),
        ("shops/A_B.toml", SHOP, ["A_B", "a-z, 0-9"]),
        ("shops/b.toml", 'name = "a"\n' + SHOP, ["configured twice", "shops/a.toml", "shops/b.toml"]),
        ("models/m.toml", MODEL + "depth = 3\n", ["models/m.toml", "unknown key 'depth'"]),
        ("models/m.toml", MODEL.replace("width = 8", "width = 0"), ["width", "greater than or equal to 1"]),
        ("models/m.toml", MODEL.replace('"m.safetensors"', "5"), ["models/m.toml", "weights", "string"]),
        ("shops/a.toml", SHOP + "[model]\nname = 1\n", ["shops/a.toml", "model"]),
        ("pluribus.toml", "[deploy.machines.embedd]\ngpu = 1\n", ["pluribus.toml", "machines of the steps", "embedd"]),
        ("pluribus.toml", "stor = 1\n", ["pluribus.toml", "unknown key 'stor'", "store"]),
        ("pluribus.toml", '[shop]\nmodle = "m"\n', ["pluribus.toml", "modle"]),
    ],
)
def test_refusals_name_file_key_value_and_expectation(folder: Path, file: str, text: str, words: list[str]) -> None:
    write(folder, file, text)
    refused(folder, *words)


def test_no_configuration_at_all(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no pluribus.toml", "--config")


def test_unknown_shop_names_the_known(folder: Path) -> None:
    with pytest.raises(ConfigError, match="one of a"):
        settings.load(str(folder)).shop("z")


def test_every_bundled_configuration_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1] / "config"
    bundled = settings.load(str(root))
    assert len(bundled.shops) >= 3
    monkeypatch.setenv("PLURIBUS_DATA", "/data")
    assert len(settings.load(str(root / "real")).shops) == 5


def test_bundled_defaults_equal_the_dataclasses() -> None:
    """pluribus.toml shows every default; it must not drift from records."""
    from dataclasses import asdict

    from pluribus.records import Shop

    root = Path(__file__).parents[1] / "config"
    shown = settings.parse_shop(
        (root / "pluribus.toml").read_bytes().split(b"[shop]")[1].replace(b"[shop.", b"["), "x.toml"
    )
    assert asdict(shown) == asdict(Shop(name="x"))


def test_places_in_a_bucket_may_lead_up_too(store: Store) -> None:
    """The bundled `expectations = "../expectations"` means the folder beside the configuration, there as here."""
    there = store.within("fleet/config")
    there.create("pluribus.toml", b'store = "../store"\nexpectations = "../expectations"\n[shop]\nmodel = "m"\n')
    there.create("models/m.toml", MODEL.encode())
    there.create("shops/a.toml", SHOP.encode())
    found = settings.load(there.url)
    assert found.expectations == f"{store.url}/fleet/expectations"
    assert found.store == f"{store.url}/fleet/store"
