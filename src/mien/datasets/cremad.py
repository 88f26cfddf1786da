"""CREMA-D: twelve sentences acted in six emotions by 91 actors, with votes on face, voice and both.

Paper: Cao et al., "CREMA-D: crowd-sourced emotional multimodal actors dataset", IEEE Transactions on Affective
    Computing 5(4), 2014.
Layout: `VideoFlash/<actor>_<sentence>_<emotion>_<level>.flv`, `AudioWAV/....wav`, `VideoDemographics.csv`,
    `processedResults/tabulatedVotes.csv` (key 100000 x way + clip; way 1 voice, 2 face, 3 both; counts A D F H N S) or
    `processedResults/summaryTable.csv` (winners, ties joined by ":"). Tables as in the authors' repository; clips
    untried on the real tree. A copy without Git LFS holds pointers instead of clips.
Labels: ANG anger DIS disgust FEA fear HAP happiness NEU neutral SAD sadness, as acted; level LO, MD, HI, XX not given.
Licence: Open Database License 1.0, contents under the Database Contents License 1.0.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import find, match, read_csv, write_clip, write_sound
from mien.errors import DataError

LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
CODES = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), LABELS, strict=True))
LETTERS = "ADFHNS"
LEVELS = ("XX", "LO", "MD", "HI")
WAYS = ("voice", "face", "both")
WINNERS = ("VoiceVote", "FaceVote", "MultiModalVote")
NAME = re.compile(r"(\d{4})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(XX|LO|MD|HI|X)")
LICENCE = "ODbL 1.0, contents DbCL 1.0"


def _counts(path: Path, place: dict[str, int]) -> np.ndarray:
    """tabulatedVotes.csv as [3, N, 6]."""
    votes = np.zeros((len(WAYS), len(place), len(LETTERS)), np.int64)
    for line, row in read_csv(path, [*LETTERS, "fileName"]):
        key = row.get("", "")
        try:
            way = int(key) // 100000 - 1
            if not 0 <= way < len(WAYS):
                raise ValueError(f"key {key!r}")
            if row["fileName"] in place:
                votes[way, place[row["fileName"]]] = [int(row[letter]) for letter in LETTERS]
        except ValueError as error:
            raise DataError(f"{path}, line {line}: expected a key from 100001 and six counts ({error})") from None
    return votes


def _winners(path: Path, place: dict[str, int]) -> np.ndarray:
    """summaryTable.csv as [3, N, 6]: one vote for each winner."""
    votes = np.zeros((len(WAYS), len(place), len(LETTERS)), np.int64)
    for line, row in read_csv(path, ["FileName", *WINNERS]):
        for way, column in enumerate(WINNERS):
            winners = row[column].split(":") if row[column] not in ("", "NA") else []
            if not set(winners) <= set(LETTERS):
                raise DataError(f"{path}, line {line}: {column} is {row[column]!r}, expected letters of {LETTERS}")
            if row["FileName"] in place:
                votes[way, place[row["FileName"]], [LETTERS.index(letter) for letter in winners]] = 1
    return votes


def _votes(home: Path, stems: list[str]) -> dict[str, np.ndarray]:
    place = {stem: row for row, stem in enumerate(stems)}
    folder = home / "processedResults"
    if (folder / "tabulatedVotes.csv").is_file():
        votes = _counts(folder / "tabulatedVotes.csv", place)
    elif (folder / "summaryTable.csv").is_file():
        votes = _winners(folder / "summaryTable.csv", place)
    else:
        return {}
    return {f"votes_{way}": votes[i] for i, way in enumerate(WAYS)}


def _people(home: Path, actors: list[str]) -> dict[str, np.ndarray]:
    path = home / "VideoDemographics.csv"
    if not path.is_file():
        return {}
    columns = ("Age", "Sex", "Race", "Ethnicity")
    known = {row["ActorID"]: row for _, row in read_csv(path, ("ActorID", *columns))}
    missing = sorted(set(actors) - set(known))
    if missing:
        raise DataError(f"{path} has no row for actor {', '.join(missing)}")
    age, *rest = ([known[actor][column].strip() for actor in actors] for column in columns)
    if not all(value.isdecimal() for value in age):
        raise DataError(f"{path}: an Age is no whole number")
    names = ("gender", "race", "ethnicity")
    values = dict(zip(names, map(np.array, rest), strict=True))
    return {"age": np.array(age, np.int64), **values, "gender": np.array([word[:1] for word in rest[0]])}


def _read(root: Path, folder: str, ending: str) -> tuple[list[Path], Index]:
    """The clips and an index of their labels that holds their sound."""
    expected = f"{folder}/<actor>_<sentence>_<emotion>_<level>.{ending}"
    paths = find(root, (f"{folder}/*.{ending}", f"*/{folder}/*.{ending}", f"*_*_*_*.{ending}"), expected)
    names = [match(path, NAME, "<actor>_<sentence>_<emotion>_<level>") for path in paths]
    targets, majority = one_hot([CODES[name[3]] for name in names], LABELS)
    actors = [name[1] for name in names]
    home = paths[0].parent.parent if paths[0].parent.name == folder else root
    extra = {
        "intensity": np.array([LEVELS.index(name[4].ljust(2, "X")) for name in names], np.int64),
        "sentence": np.array([name[2] for name in names]),
        **_votes(home, [path.stem for path in paths]),
        **_people(home, actors),
    }
    sounds = [home / "AudioWAV" / f"{path.stem}.wav" for path in paths]
    own = ending == "wav" or not (home / "AudioWAV").is_dir()
    media: dict[str, Media] = {"audio": Sounds(paths if own else sounds)}
    return paths, Index(LABELS, targets, majority, np.full(len(paths), NO_SPLIT), np.array(actors), media, extra)


@DATASETS.register("cremad", samples=7442, subjects=91, modalities=("frames", "audio"), labels=LABELS, licence=LICENCE)
def cremad(root: Path) -> Index:
    """The clips with picture and sound, labelled as acted, without an official split: fold by subject (the actor).

    The sound is that of `AudioWAV` where it is there. `extra` has `intensity` (0 not given, 1 low, 2 medium, 3 high),
    `sentence`, and where the tables lie beside the clips `votes_voice`, `votes_face`, `votes_both` (counts [N, 6], or
    1 for each winner), `age`, `gender`, `race` and `ethnicity`.

    Raises:
        DataError: no clip is found, one has a strange name, or a table is malformed.
    """
    paths, index = _read(Path(root), "VideoFlash", "flv")
    media = {"frames": Clips(paths), **index.media}
    return Index(index.labels, index.targets, index.majority, index.split, index.subject, media, index.extra)


@DATASETS.register("cremad-speech", samples=7442, subjects=91, modalities=("audio",), labels=LABELS, licence=LICENCE)
def cremad_speech(root: Path) -> Index:
    """The spoken sound alone; see `cremad`."""
    return _read(Path(root), "AudioWAV", "wav")[1]


def fake(root: Path, seed: int = 0) -> None:
    """Write two actors' clips, their sound, votes and demographics."""
    random = np.random.default_rng(seed)
    root = Path(root)
    stems = [f"{actor}_IEO_{code}_{LEVELS[i % 4]}" for actor in (1001, 1002) for i, code in enumerate(CODES)]
    for stem in stems:
        write_clip(root / "VideoFlash" / f"{stem}.flv", random, "flv", frames=3)
        write_sound(root / "AudioWAV" / f"{stem}.wav", random)
    lines = ['"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"']
    table = ['"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"']
    for way in range(1, 4):
        for number, stem in enumerate(stems, 1):
            counts = [8 if letter == stem[9] else int(letter == "N") for letter in LETTERS]
            lines.append(f'"{100000 * way + number}",{",".join(map(str, counts))},"{stem}",9,0.9,"{stem[9]}"')
    for number, stem in enumerate(stems, 1):
        table.append(f'"{number}","{stem}","N","71.6","{stem[9]}","62","{stem[9]}:N","53.6:52.2"')
    (root / "processedResults").mkdir()
    (root / "processedResults" / "tabulatedVotes.csv").write_text("\n".join(lines) + "\n")
    (root / "processedResults" / "summaryTable.csv").write_text("\n".join(table) + "\n")
    people = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    (root / "VideoDemographics.csv").write_text(people + '1002,21,"Female","Asian","Hispanic"\n')


FAKES["cremad"] = FAKES["cremad-speech"] = fake
