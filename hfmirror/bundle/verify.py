#!/usr/bin/env python3
"""Check this bundle, or put what it holds into a plain Hugging Face cache. Needs Python 3.6 and nothing else.

检查本离线包是否完好，或把其中的内容放入 Hugging Face 官方缓存。只需要 Python 3.6 或更新版本。

    python verify.py
    python verify.py --to-hf-cache FOLDER

hfmirror puts a copy of this file into each bundle, and uses it itself.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import re
import shutil
import sys
import unicodedata
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set

CHUNK = 1 << 20  # bytes read at once
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.minisig"
DAMAGED, INCOMPLETE, DISK = 7, 6, 8  # exit codes, the same as hfmirror's
LENGTHS = {"sha256": 64, "git-sha1": 40}  # hex digits
NAMES = ("manifests", "pins", "refs", "about", "access")

SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
COMMIT = re.compile(r"[0-9a-f]{40}")
REPO = re.compile(r"(model|dataset|space):([A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?)")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
DEVICES = {"con", "prn", "aux", "nul"} | {d + n for d in ("com", "lpt") for n in "0123456789¹²³"}

SAID = {
    "missing": ("is missing", "缺失"),
    "changed": ("is damaged: its content has changed", "已损坏：内容有变"),
    "size": ("is damaged: it has the wrong size", "已损坏：大小不对"),
    "unreadable": ("cannot be read", "无法读取"),
    "link": ("is a link; a bundle has none, so it is not opened", "是链接；离线包中没有链接，故不打开"),
    "unsafe": ("has a name that is not safe, so it is not opened", "名称不安全，故不打开"),
    "unlisted": ("is not named in SHA256SUMS: somebody put it here later", "不在 SHA256SUMS 中：是后来放入的"),
    "garbled": ("does not have the form it should have", "格式不对"),
    "unfinished": ("is missing: the export into this folder has not finished", "缺失：导出尚未完成"),
    "absent": ("is not in this bundle", "不在本离线包中"),
    "clash": ("is taken by this disk for another file's name", "与另一文件重名（本磁盘不分大小写）"),
    "unwritable": ("cannot be written", "无法写入"),
}


class Trouble(Exception):
    """Something about one file; `kind` is a key of `SAID`."""

    def __init__(self, kind: str, name: str, detail: str = "") -> None:
        super().__init__(kind, name, detail)
        self.kind, self.name, self.detail = kind, name, detail

    def english(self) -> str:
        """A sentence."""
        return self.name + " " + SAID[self.kind][0] + (" (" + self.detail + ")" if self.detail else "")

    def chinese(self) -> str:
        """The same."""
        return self.name + " " + SAID[self.kind][1]


Tell = Callable[[Trouble], None]


class Entry(NamedTuple):
    """One file of a commit."""

    path: str
    size: int  # bytes
    algorithm: str
    hex: str


class Commit(NamedTuple):
    """One commit as the bundle tells it."""

    repo: str  # as people write it
    folder: str  # as in the cache
    commit: str
    revisions: List[str]  # that lead to it
    whole: bool  # whether all its files are listed
    entries: List[Entry]  # what is meant
    listed: List[Entry]  # what it holds


# -- reading, believing nothing -----------------------------------------------------------------


def safe(path: str) -> bool:
    """Whether a path, "/"-separated, stays in its folder on every system."""
    parts = path.split("/")
    return not (
        any(part in ("", ".", "..") or part[1:2] == ":" for part in parts) or "\\" in path or UNPRINTABLE.search(path)
    )


def holdable(path: str) -> bool:
    """Whether Windows can keep a file of this name."""
    return not any(part.split(".")[0].rstrip(" ").lower() in DEVICES for part in path.split("/"))


def place(root: str, name: str) -> str:
    """The path of a file of the bundle, reached through no link. Raises Trouble."""
    if not safe(name):
        raise Trouble("unsafe", repr(name))
    path = root
    for part in name.split("/"):
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise Trouble("link", name)
    return path


def hashed(path: str, name: str, hashers: List[Any], most: int) -> int:
    """Feed a file to hashers; its bytes. Reads one byte more than `most` at the most. Raises Trouble."""
    size = 0
    buffer = memoryview(bytearray(CHUNK))
    try:
        if not os.path.isfile(path):
            raise Trouble("missing" if not os.path.exists(path) else "unreadable", name)
        with open(path, "rb", buffering=0) as stream:
            while size <= most:
                count = stream.readinto(buffer)
                if not count:
                    break
                for hasher in hashers:
                    hasher.update(buffer[:count])
                size += count
    except OSError as error:
        raise Trouble("unreadable", name, error.strerror or str(error))
    return size


def sums_of(root: str) -> Dict[str, str]:
    """What SHA256SUMS says, by name. Raises Trouble."""
    try:
        with open(place(root, SUMS), encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:
        raise Trouble("unfinished", SUMS)
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble("unreadable", SUMS, str(error))
    sums: Dict[str, str] = {}
    for line in lines:
        match = SUM_LINE.fullmatch(line)
        if match is None or match.group(2) in sums:
            raise Trouble("garbled", SUMS, line[:100])
        sums[match.group(2)] = match.group(1)
    return sums


def check_file(root: str, name: str, told: str) -> None:
    """See that one file is what it was. Raises Trouble."""
    hasher = hashlib.sha256()
    hashed(place(root, name), name, [hasher], 1 << 62)
    if hasher.hexdigest() != told:
        raise Trouble("changed", name)


def check(root: str, tell: Tell) -> int:
    """Read everything and compare it with SHA256SUMS; how many files are right. Raises Trouble without sums."""
    sums = sums_of(root)
    sound = 0
    for name in sorted(sums):
        try:
            check_file(root, name, sums[name])
            sound += 1
        except Trouble as trouble:
            tell(trouble)
    for name in names_of(root):
        if name not in sums:
            tell(Trouble("unlisted", name))
    return sound


def names_of(root: str) -> Iterator[str]:
    """The small files that say what is in the bundle."""
    for room in NAMES:
        for folder, folders, files in os.walk(os.path.join(root, room)):
            folders.sort()
            for file in sorted(files):
                if not file.startswith("."):
                    yield os.path.relpath(os.path.join(folder, file), root).replace(os.sep, "/")


def document(root: str, name: str, sums: Dict[str, str]) -> Dict[str, Any]:
    """A JSON file of the bundle, if it is as it was. Raises Trouble."""
    if sums:
        if name not in sums:
            raise Trouble("unlisted", name)
        check_file(root, name, sums[name])
    try:
        with open(place(root, name), encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        raise Trouble("missing", name)
    except (OSError, ValueError) as error:
        raise Trouble("garbled", name, str(error))
    if not isinstance(found, dict) or not isinstance(found.get("format"), int) or found["format"] > 1:
        raise Trouble("garbled", name, "its format number is not 1")
    return found


# -- what the bundle tells ------------------------------------------------------------------------


def commits(root: str, sums: Dict[str, str], tell: Tell) -> Iterator[Commit]:
    """Every commit that can be read."""
    for name in names_of(root):
        if name.startswith("pins/") and name.endswith(".json"):
            try:
                yield commit_of(root, name, sums)
            except Trouble as trouble:
                tell(trouble)
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                tell(Trouble("garbled", name, repr(error)))


def commit_of(root: str, name: str, sums: Dict[str, str]) -> Commit:
    """One commit, by its file of pins. Raises Trouble, and what a garbled document raises."""
    pins = document(root, name, sums)
    match = REPO.fullmatch(pins["repo"])
    if match is None or ".." in pins["repo"] or "--" in pins["repo"] or not COMMIT.fullmatch(pins["commit"]):
        raise Trouble("unsafe", name)
    folder = match.group(1) + "s--" + match.group(2).replace("/", "--")
    commit = pins["commit"]
    if name != "pins/" + folder + "/" + commit + ".json":
        raise Trouble("garbled", name, "it is about another repo")
    manifest = manifest_of(root, folder, commit, sums)
    entries = [entry_of(row) for row in manifest["entries"]]
    chosen = [entry for entry in entries if any(takes(wish, entry.path) for wish in pins["asked"])]
    if "demand" in pins:
        chosen = [entry for entry in entries if entry in chosen or files_of(root, entry)]
    wishes = pins["asked"] + ([pins["demand"]] if "demand" in pins else [])
    revisions = [wish["revision"] for wish in wishes if leads(root, folder, wish["revision"], commit, sums)]
    repo = match.group(2) if match.group(1) == "model" else match.group(1) + "s/" + match.group(2)
    return Commit(repo, folder, commit, revisions, "reach" not in manifest, chosen, entries)


def manifest_of(root: str, folder: str, commit: str, sums: Dict[str, str]) -> Dict[str, Any]:
    """The listing of a commit, of which there are three kinds. Raises Trouble."""
    for ending in (".json", ".partial.json", ".cache.json"):
        name = "manifests/" + folder + "/" + commit + ending
        if os.path.exists(os.path.join(root, *name.split("/"))):
            return document(root, name, sums)
    raise Trouble("missing", "manifests/" + folder + "/" + commit + ".json")


def entry_of(row: Dict[str, Any]) -> Entry:
    """A line of a listing. Raises Trouble."""
    algorithm, _, hexed = row["digest"].partition(":")
    if not safe(row["path"]):
        raise Trouble("unsafe", repr(row["path"]))
    if len(hexed) != LENGTHS.get(algorithm) or re.search("[^0-9a-f]", hexed) or int(row["size"]) < 0:
        raise Trouble("garbled", repr(row["path"]))
    return Entry(row["path"], int(row["size"]), algorithm, hexed)


def takes(wish: Dict[str, Any], path: str) -> bool:
    """Whether a wish means a file, by the official client's pattern rules."""

    def matches(pattern: str) -> bool:
        return fnmatch.fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)

    included = not wish["include"] or any(map(matches, wish["include"]))
    return included and not any(map(matches, wish["exclude"]))


def leads(root: str, folder: str, revision: str, commit: str, sums: Dict[str, str]) -> bool:
    """Whether the bundle says that a revision stands for a commit. Raises Trouble."""
    if not safe(revision):
        raise Trouble("unsafe", repr(revision))
    if COMMIT.fullmatch(revision):
        return False
    name = "refs/" + folder + "/" + quoted(revision) + ".json"
    if not os.path.exists(os.path.join(root, *name.split("/"))):
        return False
    return bool(document(root, name, sums).get("commit") == commit)


def quoted(revision: str) -> str:
    """A revision as one file name: %-escaped, as in addresses."""
    kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~"
    return "".join(chr(b) if chr(b) in kept else "%%%02X" % b for b in revision.encode("utf-8"))


def files_of(root: str, entry: Entry) -> List[str]:
    """The files that hold an object: one, or its parts in order; none when it is not here. Raises Trouble."""
    below = entry.algorithm + "/" + entry.hex[:2] + "/" + entry.hex
    if os.path.lexists(place(root, "objects/" + below)):
        return ["objects/" + below]
    listed = "parts/" + below + ".json"
    if not os.path.lexists(place(root, listed)):
        return []
    rows = document(root, listed, {})["parts"]
    if len(rows) > 9999 or sum(row["size"] for row in rows) != entry.size:
        raise Trouble("garbled", listed)
    return ["parts/" + below + ".part%04d" % number for number in range(1, len(rows) + 1)]


# -- putting it into a cache ----------------------------------------------------------------------


def hasher_of(entry: Entry) -> Any:
    """A running hash that ends at the entry's digest."""
    if entry.algorithm == "sha256":
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % entry.size)  # noqa: S324 - git's own name for a file


def sound(path: str, entry: Entry) -> bool:
    """Whether there is a file with the entry's content."""
    if not os.path.isfile(path) or os.path.getsize(path) != entry.size:
        return False
    hasher = hasher_of(entry)
    hashed(path, entry.path, [hasher], entry.size)
    return bool(hasher.hexdigest() == entry.hex)


def put_blob(root: str, blob: str, entry: Entry) -> None:
    """Copy an object to `blob`, proven; over what is wrong there. Raises Trouble, OSError."""
    if sound(blob, entry):
        return
    names = files_of(root, entry)
    if not names:
        raise Trouble("absent", entry.path)
    draft = blob + ".hfmirror"
    hasher, size = hasher_of(entry), 0
    try:
        with open(draft, "wb") as out:
            for name in names:
                size += copied(place(root, name), name, out, hasher, entry.size - size)
            out.flush()
            os.fsync(out.fileno())
        if size != entry.size or hasher.hexdigest() != entry.hex:
            raise Trouble("changed", names[0] if len(names) == 1 else names[0] + " … " + names[-1], entry.path)
        os.replace(draft, blob)
    finally:
        if os.path.exists(draft):
            os.remove(draft)


def copied(path: str, name: str, out: Any, hasher: Any, most: int) -> int:
    """Append a file to `out`, no more than `most` bytes and one chunk; its bytes. Raises Trouble, OSError."""

    class Out:
        def update(self, data: Any) -> None:
            try:
                out.write(data)
            except OSError as error:
                raise Trouble("unwritable", name, error.strerror or str(error))

    return hashed(path, name, [hasher, Out()], most)


def put_file(home: str, commit: str, entry: Entry) -> None:
    """Show a blob under its own name: by a link where the system makes one, else as a copy. Raises OSError."""
    blob = os.path.join(home, "blobs", entry.hex)
    target = os.path.join(home, "snapshots", commit, *entry.path.split("/"))
    leading = os.path.join(*([os.pardir] * (2 + entry.path.count("/")) + ["blobs", entry.hex]))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(target) and os.readlink(target) == leading:
        return
    draft = os.path.join(home, "blobs", entry.hex + ".link")
    if os.path.lexists(draft):
        os.remove(draft)
    try:
        os.symlink(os.path.relpath(blob, os.path.dirname(target)), draft)
    except (OSError, NotImplementedError):
        if sound(target, entry):
            return
        try:
            os.link(blob, draft)
        except (OSError, NotImplementedError):
            shutil.copyfile(blob, draft)
    os.replace(draft, target)


def put_text(path: str, text: str) -> None:
    """A small file, wholly or not at all. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".hfmirror", "w", encoding="utf-8", newline="\n") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(path + ".hfmirror", path)


def tree_of(commit: Commit) -> str:
    """The official client's listing of a whole commit, by which it knows when files lack (huggingface_hub 2.4)."""
    files: Dict[str, Dict[str, Any]] = {}
    for entry in commit.listed:
        row: Dict[str, Any] = {"size": entry.size, "blob_id": entry.hex}
        if entry.algorithm == "sha256":
            pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (entry.hex, entry.size)
            named = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer.encode())  # noqa: S324 - git's own name for it
            row["blob_id"] = named.hexdigest()
            row.update(lfs_sha256=entry.hex, lfs_size=entry.size)
        files[entry.path] = row
    return json.dumps({"format_version": 1, "files": files}, ensure_ascii=False)


def put_commit(root: str, cache: str, commit: Commit, tell: Tell) -> bool:
    """One commit: blobs, then the names that lead to them, its revisions last; whether all of it is there."""
    home = os.path.join(cache, commit.folder)
    os.makedirs(os.path.join(home, "blobs"), exist_ok=True)
    seen: Dict[str, str] = {}
    whole = True
    for entry in commit.entries:
        try:
            refuse_clash(os.path.join(home, "snapshots", commit.commit), entry.path, seen)
            put_blob(root, os.path.join(home, "blobs", entry.hex), entry)
            put_file(home, commit.commit, entry)
        except Trouble as trouble:
            whole = False
            tell(Trouble(trouble.kind, commit.repo + "/" + trouble.name, trouble.detail))
        except OSError as error:
            whole = False
            tell(Trouble("unwritable", commit.repo + "/" + entry.path, error.strerror or str(error)))
    if commit.whole:
        put_text(os.path.join(home, "trees", commit.commit + ".json"), tree_of(commit))
    for revision in commit.revisions if whole else ():
        put_text(os.path.join(home, "refs", *revision.split("/")), commit.commit)
    return whole


def refuse_clash(snapshot: str, path: str, seen: Dict[str, str]) -> None:
    """Two files must not get one name, and none the name of a device. Raises Trouble."""
    if os.name == "nt" and not holdable(path):
        raise Trouble("unsafe", path)
    steps = unicodedata.normalize("NFC", path.casefold()).split("/")
    other = seen.setdefault("/".join(step.rstrip(". ") or step for step in steps), path)  # as Windows shortens names
    if other != path and os.path.lexists(os.path.join(snapshot, *path.split("/"))):
        raise Trouble("clash", path, other)


def put_all(root: str, cache: str, tell: Tell, done: Callable[[Commit, bool], None]) -> None:
    """Everything the bundle holds, into a cache. `done` hears of each commit whether all of it is there."""
    try:
        sums = sums_of(root)
    except Trouble as trouble:
        if trouble.kind != "unfinished":
            raise
        sums = {}  # the export has not finished: what is here is proven by its digest all the same
    for commit in commits(root, sums, tell):
        done(commit, put_commit(root, cache, commit, tell))


# -- the command ----------------------------------------------------------------------------------


def say(english: str, chinese: str = "") -> None:
    """A sentence, in both languages as far as the terminal can show them."""
    for line in (english, chinese):
        if line:
            try:
                print(line)
            except UnicodeEncodeError:
                print(line.encode("ascii", "backslashreplace").decode())


def meanings(root: str) -> Dict[str, str]:
    """What people call each object: the file of a repo that it is."""
    found: Dict[str, str] = {}
    for commit in commits(root, {}, lambda _: None):
        for entry in commit.listed:
            found.setdefault(entry.hex, commit.repo + ": " + entry.path)
    return found


def meaning(name: str, known: Dict[str, str]) -> str:
    """In brackets, what an object's file is; empty for other files."""
    stem = name.rpartition("/")[2].partition(".")[0]
    return " [" + known[stem] + "]" if stem in known else ""


def run_check(root: str) -> int:
    """Check everything and say what is wrong; the exit code."""
    troubles: List[Trouble] = []
    try:
        sound_files = check(root, troubles.append)
    except Trouble as trouble:
        say(trouble.english(), trouble.chinese())
        return DAMAGED
    known = meanings(root) if troubles else {}
    for found in troubles:
        what = meaning(found.name, known)
        say(found.english() + what, found.chinese() + what)
    if troubles:
        say(
            "%d files are damaged or do not belong here; %d are sound." % (len(troubles), sound_files),
            "有 %d 个文件损坏或不属于本离线包，%d 个完好。" % (len(troubles), sound_files),
        )
        say("Copy the bundle again, or export it again.", "请重新复制或重新导出。")
        return DAMAGED
    say("All %d files are sound." % sound_files, "全部 %d 个文件完好。" % sound_files)
    if os.path.exists(os.path.join(root, SIGNATURE)):
        say("It is signed. To check by whom: minisign -Vm SHA256SUMS -P KEY", "已签名，可用 minisign 检查签名者。")
    return 0


def run_put(root: str, cache: str) -> int:
    """Put everything into a cache and say what is wrong; the exit code."""
    kinds: Set[str] = set()

    def tell(trouble: Trouble) -> None:
        kinds.add(trouble.kind)
        say(trouble.english(), trouble.chinese())

    def done(commit: Commit, whole: bool) -> None:
        names = " ".join(commit.revisions) or commit.commit
        if whole:
            say("%s (%s) is in the cache." % (commit.repo, names), "%s (%s) 已放入缓存。" % (commit.repo, names))
        else:
            say("%s (%s) is not whole." % (commit.repo, names), "%s (%s) 不完整。" % (commit.repo, names))

    try:
        put_all(root, cache, tell, done)
    except Trouble as trouble:
        tell(trouble)
    except OSError as error:
        say("%s: %s" % (error.filename or cache, error.strerror), "磁盘错误。")
        return DISK
    if not kinds:
        say("Now set HF_HUB_CACHE=%s and HF_HUB_OFFLINE=1." % cache, "现在请设置上述两个环境变量。")
    return (INCOMPLETE if kinds == {"absent"} else DISK if kinds == {"unwritable"} else DAMAGED) if kinds else 0


def main(words: Optional[List[str]] = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description="Check a bundle of hfmirror. 检查离线包。")
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("folder", nargs="?", default=here, help="the bundle; default: where this file lies")
    parser.add_argument("--to-hf-cache", metavar="FOLDER", help="put the content into this cache 放入官方缓存")
    told = parser.parse_args(words)
    if told.to_hf_cache:
        return run_put(told.folder, os.path.abspath(os.path.expanduser(told.to_hf_cache)))
    return run_check(told.folder)


if __name__ == "__main__":
    sys.exit(main())
