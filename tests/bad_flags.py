"""Flags that ask for what can't be, and places without a checkpoint."""

import os
from collections.abc import Iterator
from pathlib import Path

from inputs import ARCHIVE, V1, V2, Bad, Good, file

ONE = ("--model=stem", "--task=classification", "--output=modules")
AUTO = ("--version=3", "--model=auto")
# Of no file here.
SUM = "0123456789abcdef" * 4

# Flags that make no sense, and what the message says of them.
USAGE = {
    "no-version": ((), "--version must have a value"),
    "no-version-but-all-else": ((*ONE, "--checkpoint=synthetic"), "--version must have a value"),
    "version-empty": (("--version=", *ONE), "--version=: expected a number, such as 3"),
    "version-2": (("--version=2", *ONE), "--version=2: that version has no contract; --interface"),
    "version-03": (("--version=03", *ONE), "--version=03: expected a number, such as 3"),
    "version-3.0": (("--version=3.0", *ONE), "--version=3.0: expected a number, such as 3"),
    "version-space": (("--version= 3", *ONE), "--version= 3: expected a number"),
    "version-v3": (("--version=v3", *ONE), "--version=v3: expected a number, such as 3"),
    "version-negative": (("--version=-1", *ONE), "--version=-1: expected a number, such as 3"),
    "version-list": (("--version=1,3", *ONE), "--version=1,3: expected a number, such as 3"),
    "version-0": (("--version=0", *ONE), "--version=0: expected a number, such as 3"),
    "version-newline": (("--version=3\n", *ONE), "expected a number, such as 3"),
    "version-not-ascii": (("--version=\u0663", *ONE), "expected a number, such as 3"),
    "version-enormous": (("--version=1" + "0" * 99, *ONE), "expected a number, such as 3"),
    "version-too-large": (
        ("--version=1000000", "--interface=3", "--handle_prefix=me", *ONE),
        "--version=1000000: expected 1 to 999999",
    ),
    "interface-unknown": (
        ("--version=3", "--interface=2", *ONE),
        "--interface=2: value should be one of <1|3|5>",
    ),
    "two-interfaces": (
        ("--version=3", "--interface=1", "--interface=3", *ONE),
        "--interface=3: already defined as 1",
    ),
    "series-without-interface": (
        ("--version=2", "--handle_prefix=me/flowers", *ONE),
        "--version=2: that version has no contract; --interface, one of 1, 3, 5, says",
    ),
    "series-without-prefix": (
        ("--version=2", "--interface=3", *ONE),
        "--version=2 --interface=3: a version that does not keep its own contract is one of a",
    ),
    "series-of-a-contract": (("--version=1", "--interface=3", *ONE), "--handle_prefix=me/flowers"),
    "series-of-the-default": (
        ("--version=2", "--interface=3", "--handle_prefix=google/imagenet", *ONE),
        "neither a default nor begins with google/",
    ),
    "series-of-google": (
        ("--version=2", "--interface=3", "--handle_prefix=google/flowers", *ONE),
        "neither a default nor begins with google/",
    ),
    "series-of-google-itself": (
        ("--version=2", "--interface=3", "--handle_prefix=google", *ONE),
        "neither a default nor begins with google/",
    ),
    "labels-empty": (("--version=3", "--labels=", *ONE), "--labels= can't be read: No such file"),
    "labels-absent": (
        ("--version=3", "--labels=l.txt", *ONE),
        "--labels=l.txt can't be read: No such",
    ),
    "labels-directory": (
        ("--version=3", "--labels=.", *ONE),
        "--labels=. can't be used: it is no f",
    ),
    "labels-device": (
        ("--version=3", "--labels=/dev/zero", *ONE),
        "/dev/zero can't be used: it is no",
    ),
    "labels-nul": (("--version=3", "--labels=a\0b", *ONE), "can't be used: embedded null byte"),
    "labels-without-value": (("--version=3", *ONE, "--labels"), "Missing value for flag --labels"),
    "two-labels": (
        ("--version=3", "--labels=a", "--labels=b", *ONE),
        "--labels=b: already defined as a",
    ),
    "version-without-value": ((*ONE, "--version"), "Missing value for flag --version"),
    "noversion": ((*ONE, "--noversion"), "Unknown command line flag 'noversion'"),
    "model-unknown": (("--version=3", "--model=vgg_11"), "--model=vgg_11: value should be one of"),
    "model-empty": (("--version=3", "--model="), "value should be one of"),
    "model-with-case": (("--version=3", "--model=Inception_V1"), "Inception_V1: value should be"),
    "model-path": (("--version=3", "--model=../stem"), "--model=../stem: value should be one of"),
    "model-list": (("--version=3", "--model=stem,inception_v1"), "stem,inception_v1: value should"),
    "model-one-unknown": (("--version=3", "--model=stem", "--model=x"), "x: value should be one"),
    "model-newline": (("--version=3", "--model=stem\n"), "value should be one of"),
    "model-not-utf8": (("--version=3", "--model=\udcff"), "value should be one of"),
    "auto-and-another": ((*AUTO, "--model=stem", "--checkpoint=x"), "leave out any other --model"),
    "auto-of-nothing": (
        AUTO,
        "finds the network in a checkpoint on disk, got --checkpoint=(left o",
    ),
    "auto-of-synthetic": ((*AUTO, "--checkpoint=synthetic"), "on disk, got --checkpoint=synthetic"),
    "auto-of-a-url": ((*AUTO, "--checkpoint=https://x/a.tar.gz"), "got --checkpoint=https://x/a.t"),
    "sum-too-short": (
        ("--version=3", *ONE, f"--sha256={SUM[1:]}"),
        "expected 64 hexadecimal digits",
    ),
    "sum-too-long": (("--version=3", *ONE, f"--sha256={SUM}0"), "expected 64 hexadecimal digits"),
    "sum-with-newline": (("--version=3", *ONE, f"--sha256={SUM}\n"), "expected 64 hexadecimal"),
    "sum-not-hex": (
        ("--version=3", *ONE, f"--sha256=x{SUM[1:]}"),
        "expected 64 hexadecimal digits",
    ),
    "sum-empty": (("--version=3", *ONE, "--sha256="), "--sha256=: expected 64 hexadecimal digits"),
    "sum-of-several": (("--version=3", f"--sha256={SUM}"), "--sha256 is that of one file, got the"),
    "sum-of-synthetic": (
        ("--version=3", *ONE, f"--sha256={SUM}", "--checkpoint=synthetic"),
        "--sha256 is that of a file, got --checkpoint=synthetic",
    ),
    "two-sums": (("--version=3", *ONE, "--sha256=1", "--sha256=2"), "--sha256=2: already defined"),
    "averages-maybe": (("--version=3", "--moving_averages=maybe", *ONE), "--moving_averages=maybe"),
    "task-unknown": (
        ("--version=3", "--task=detection"),
        "value should be one of <classification|",
    ),
    "task-empty": (("--version=3", "--task="), "value should be one of <classification|"),
    "task-plural": (("--version=3", "--task=feature_vectors"), "value should be one of <classif"),
    "flag-misspelt": (("--version=3", "--chekpoint=x"), "Unknown command line flag 'chekpoint'"),
    "flag-of-one-dash": (("-versio=3",), "Unknown command line flag 'versio'"),
    "flag-file-missing": (("--flagfile=absent",), "absent"),
    "bool-maybe": (("--version=3", "--overwrite=maybe", *ONE), "--overwrite=maybe"),
    "checkpoint-without-value": (("--version=3", *ONE, "--checkpoint"), "Missing value for flag"),
    "stray-argument": (("--version=3", *ONE, V1), f"no flag takes: {V1}"),
    "stray-dash": (("--version=3", *ONE, "-"), "no flag takes: -"),
    "stray-behind-dashes": (("--version=3", *ONE, "--", "--overwrite"), "takes: --overwrite"),
    "prefix-parent": (("--version=3", *ONE, "--handle_prefix=../x"), "--handle_prefix=../x: exp"),
    "prefix-absolute": (("--version=3", *ONE, "--handle_prefix=/x"), "--handle_prefix=/x: exp"),
    "prefix-empty": (("--version=3", *ONE, "--handle_prefix="), "--handle_prefix=: expected"),
    "prefix-trailing": (("--version=3", *ONE, "--handle_prefix=a/"), "--handle_prefix=a/: exp"),
    "prefix-newline": (("--version=3", *ONE, "--handle_prefix=a\n"), "--handle_prefix="),
    "prefix-dot": (("--version=3", *ONE, "--handle_prefix=."), "--handle_prefix=.: expected"),
    "two-versions": (("--version=1", "--version=3", *ONE), "--version=3: already defined as 1"),
    "two-checkpoints": (
        ("--version=3", *ONE, "--checkpoint=a", "--checkpoint=b"),
        "--checkpoint=b: already defined as a",
    ),
    "two-outputs": (("--version=3", *ONE, "--output=b"), "--output=b: already defined as modules"),
    "bool-and-value": (("--version=3", "--nooverwrite=1", *ONE), "does not take an argument"),
    "output-empty": (("--version=3", *ONE[:2], "--output="), "--output=: expected a directory"),
    "output-not-utf8": (("--version=3", *ONE[:2], "--output=\udcff"), "expected UTF-8"),
    "output-newline": (("--version=3", *ONE[:2], "--output=a\nb"), "--output='a\\nb': expected"),
    "output-pattern": (("--version=3", *ONE[:2], "--output=m*"), "--output=m*: TensorFlow takes"),
}

# What `--checkpoint` says, and what the message says of it.
SOURCES = {
    "absent": ("absent.ckpt", "There is no checkpoint at absent.ckpt"),
    "absent-archive": ("absent.tar.gz", "There is no checkpoint at absent.tar.gz"),
    "absent-directory": ("a/b/c", "There is no checkpoint at a/b/c"),
    "absent-absolute": ("/absent/model.ckpt", "There is no checkpoint at /absent/model.ckpt"),
    "home": ("~/model.ckpt", "There is no checkpoint at ~/model.ckpt"),
    "empty": ("", "--checkpoint= can't be used: it names nothing"),
    "blank": (" ", "There is no checkpoint at"),
    "pattern": ("*.ckpt", "There is no checkpoint at *.ckpt"),
    "synthetic-misspelt": ("Synthetic", "There is no checkpoint at Synthetic"),
    "newline": ("a\nb.ckpt", "There is no checkpoint at a\nb.ckpt"),
    "nul": ("a\0b.ckpt", "There is no checkpoint at"),
    "not-utf8": (os.fsdecode(b"\xff.ckpt"), r"There is no checkpoint at \udcff.ckpt"),
    "name-too-long": ("n" * 300, "File name too long"),
    "archive-name-too-long": ("n" * 300 + ".tar.gz", "File name too long"),
    "below-a-file": (f"{V1}/model", "There is no checkpoint at model.ckpt/model"),
    "null-device": ("/dev/null", "There is no checkpoint at /dev/null"),
    "zero-device": ("/dev/zero", "There is no checkpoint at /dev/zero"),
    "unreadable": ("/proc/self/mem", "--checkpoint=/proc/self/mem can't be used: [Errno 5]"),
    "root": ("/", "There is no checkpoint of stem in /. Tried:"),
    "current-directory": (".", "/run. Tried: inception_v1_2016_08_28.tar.gz, "),
    "url-of-gs": ("gs://bucket/model.ckpt", "expected an http, https or file URL, found gs"),
    "url-of-ftp": ("ftp://host/a.tar.gz", "expected an http, https or file URL, found ftp"),
    "url-of-s3": ("s3://bucket/a.tar.gz", "expected an http, https or file URL, found s3"),
    "url-without-end": ("http://[::1/a.tar.gz", "--checkpoint=http://[::1/a.tar.gz can't be"),
    "url-without-host": ("http:///a.tar.gz", "No host supplied"),
    "url-with-bad-port": ("http://127.0.0.1:99999/a.tar.gz", "could not be fetched"),
    "url-with-text-for-port": ("http://127.0.0.1:x/a.tar.gz", "could not be fetched"),
    "url-of-file-absent": ("file:///absent/a.tar.gz", "no checkpoint at /absent/a.tar.gz"),
    "url-of-file-with-nul": ("file:///a%00b", "There is no checkpoint at /a"),
    "url-of-file-with-host": ("file://model.ckpt", "--checkpoint=file://model.ckpt can't be used"),
    "url-of-file-elsewhere": ("file://host/model.ckpt", "file://host/model.ckpt can't be used"),
    "url-of-nothing": ("file://", "can't be used"),
    "url-misspelt": ("htp://host/a.tar.gz", "file URL, found htp"),
    "handle": ("https:/tfhub.dev/google", "No host supplied"),
}

FIFO = "There is no checkpoint at "


def made(make_one) -> object:
    return lambda good, directory: make_one(directory)


def with_labels(content) -> object:
    def make(good: Good, directory: Path) -> None:
        (directory / ARCHIVE).write_bytes(good.archive)
        (directory / "labels.txt").write_bytes(content(good))

    return make


def links_to_itself(directory: Path) -> None:
    (directory / V1).symlink_to(V1)


def v1_of_other(good: Good, directory: Path) -> None:
    (directory / "inception_v2.ckpt").write_bytes(good.v1)


# What is there instead of the checkpoint that `--checkpoint` says.
PLACES = {
    "is-empty-directory": (V1, made(lambda d: (d / V1).mkdir()), f"/run/{V1}. Tried: "),
    "archive-is-directory": (
        ARCHIVE,
        made(lambda d: (d / ARCHIVE).mkdir()),
        f"/run/{ARCHIVE}. Tried:",
    ),
    "directory-of-others": (".", v1_of_other, "/run. Tried: inception_v1_2016_08_28.tar.gz, "),
    "directory-of-directories": (
        ".",
        made(lambda d: (d / "inception_v1.ckpt").mkdir()),
        "/run. Tried: inception_v1_2016_08_28.tar.gz, ",
    ),
    "directory-with-half": (
        ".",
        file("inception_v1.ckpt.index", lambda good: good.v2[".index"]),
        "inception_v1.ckpt is half a V2 checkpoint",
    ),
    "directory-with-login": (
        ".",
        file("inception_v1_2016_08_28.tar.gz", lambda good: b"<html>Sign in</html>"),
        "Not a gzipped file",
    ),
    "is-fifo": (V1, made(lambda d: os.mkfifo(d / V1)), FIFO + V1),
    "archive-is-fifo": (ARCHIVE, made(lambda d: os.mkfifo(d / ARCHIVE)), FIFO + ARCHIVE),
    "dangles": (V1, made(lambda d: (d / V1).symlink_to("gone")), f"no checkpoint at {V1}"),
    "links-to-itself": (V1, made(links_to_itself), f"no checkpoint at {V1}"),
    "not-utf8-but-there": (
        os.fsdecode(b"\xff.ckpt"),
        lambda good, d: (d / os.fsdecode(b"\xff.ckpt")).write_bytes(b"text"),
        "can't be read as a TensorFlow checkpoint",
    ),
    "newline-but-there": (
        "a\nb.ckpt",
        lambda good, d: (d / "a\nb.ckpt").write_bytes(b"text"),
        "can't be read as a TensorFlow checkpoint",
    ),
    "wrong-suffix": (
        "weights.zip",
        file("weights.zip", lambda good: good.archive),
        "must end in .tar.gz or .tgz",
    ),
    "suffix-with-case": (
        "w.TAR.GZ",
        file("w.TAR.GZ", lambda good: good.archive),
        "must end in .tar.gz or .tgz",
    ),
    "still-downloading": (
        "w.tar.gz.part",
        file("w.tar.gz.part", lambda good: good.archive[:9999]),
        "must end in .tar.gz or .tgz",
    ),
}

# What `--labels` names, and what the message says of it; the checkpoint has 1001 classes.
LABELS = {
    "archive": (
        lambda good: good.archive,
        "--labels=labels.txt can't be used: it has more than 1048576",
    ),
    "binary": (lambda good: good.v2[".index"], "labels.txt can't be used: line "),
    "none": (lambda good: b"", "--labels=labels.txt can't be used: it names no class"),
    "other-number": (
        lambda good: b"daisy\nrose\n",
        "--labels names 2 classes, and inception_v1.ckpt has 1001: expected a line for each",
    ),
    "no-background": (
        lambda good: b"".join(b"%d\n" % number for number in range(1000)),
        "names 1000 classes, and inception_v1.ckpt has 1001: expected a line for each class of the "
        "head, InceptionV1/Logits/Conv2d_0c_1x1. Does the first one, the background class",
    ),
}


def v2_files(good: Good, directory: Path) -> None:
    for suffix, data in good.v2.items():
        (directory / (V2 + suffix)).write_bytes(data)


# What is there, whose SHA-256 is not the one that the flags ask for.
PINNED = {
    "archive": (ARCHIVE, file(ARCHIVE, lambda good: good.archive)),
    "file": (V1, file(V1, lambda good: good.v1)),
    "directory": (".", file("inception_v1.ckpt", lambda good: good.v1)),
}


def corpus() -> Iterator[Bad]:
    for name, (source, make) in PINNED.items():
        flags = (f"--checkpoint={source}", f"--sha256={SUM.upper()}")
        says = f"is not the file that --sha256 names: expected the SHA-256 {SUM}, found "
        yield Bad(id=f"sum-of-other-{name}", make=make, flags=flags, says=says)
    yield Bad(
        id="sum-of-prefix",
        make=v2_files,
        flags=(f"--checkpoint={V2}", f"--sha256={SUM}"),
        says="model2 is a V2 checkpoint, of 2 files: --sha256 can only be that of an archive",
    )
    yield Bad(
        id="averages-of-none",
        make=file(V1, lambda good: good.v1),
        flags=(f"--checkpoint={V1}", "--moving_averages"),
        says="It has no moving averages: without --moving_averages, the raw weights are exported.",
    )
    for name, (flags, says) in USAGE.items():
        yield Bad(id=f"flags-{name}", flags=flags, whole=True, code=2, says=says)
    for name, (source, says) in SOURCES.items():
        yield Bad(id=f"source-{name}", flags=(f"--checkpoint={source}",), says=says)
    for name, (source, make, says) in PLACES.items():
        yield Bad(id=f"place-{name}", make=make, flags=(f"--checkpoint={source}",), says=says)
    for name, (content, says) in LABELS.items():
        flags = ("--version=3", *ONE, f"--checkpoint={ARCHIVE}", "--labels=labels.txt")
        make = with_labels(content)
        yield Bad(id=f"labels-{name}", make=make, flags=flags, whole=True, code=2, says=says)
