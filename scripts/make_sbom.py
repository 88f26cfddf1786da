"""Writes the bill of materials, CycloneDX 1.6 as JSON: what the wheel holds, and what it needs, as it was tried.

    python scripts/make_sbom.py [FILE]        FILE: sbom.cdx.json

Weight files stand with their SHA-256, the page's JavaScript with the integrity of web/package-lock.json,
what pip installs with the hashes of scripts/locked-train.txt and, where it is installed here, its licence.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Component = dict[str, Any]


def version() -> str:
    return re.findall(r'__version__ = "(.+)"', (ROOT / "src/mien/__init__.py").read_text(encoding="utf-8"))[0]


def weights() -> list[Component]:
    """The files that ship."""
    folder = ROOT / "src/mien/weights"
    lines = (folder / "SHA256SUMS").read_text(encoding="ascii").split()
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"mien/weights/{file}",
            "name": file,
            "version": version(),
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for digest, file in zip(lines[::2], lines[1::2], strict=True)
    ]


def page() -> list[Component]:
    """JavaScript that the built page holds."""
    packages = json.loads((ROOT / "web/package-lock.json").read_text(encoding="utf-8"))["packages"]
    found = []
    for place, facts in sorted(packages.items()):
        name = place.rpartition("node_modules/")[2]
        if not name or facts.get("dev") or name.startswith("@types/") or name == "undici-types":
            continue
        kind, _, digest = facts["integrity"].partition("-")
        found.append(
            {
                "type": "library",
                "bom-ref": f"pkg:npm/{name.replace('@', '%40')}@{facts['version']}",
                "name": name,
                "version": facts["version"],
                "purl": f"pkg:npm/{name.replace('@', '%40')}@{facts['version']}",
                "hashes": [{"alg": f"SHA-{kind[3:]}", "content": base64.b64decode(digest).hex()}],
                "licenses": [{"license": {"id": facts["license"]}}],
            }
        )
    return found


def licence(name: str) -> list[Component]:
    """As the package's own metadata say, in a form that CycloneDX knows."""
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []
    said = facts.get("License-Expression")
    if said:
        return [{"expression": said}]
    named = [line.rpartition(" :: ")[2] for line in facts.get_all("Classifier") or [] if line.startswith("License ::")]
    return [{"license": {"name": text}} for text in named]


def libraries() -> list[Component]:
    """What pip installs."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in own["dependencies"]}
    text = (ROOT / "scripts/locked-train.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        if not (pin := re.match(r"([a-z0-9][\w.-]*)==([\w.+!-]+)", line)):
            continue
        name, number = pin.groups()
        found.append(
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{name}@{number}",
                "name": name,
                "version": number,
                "purl": f"pkg:pypi/{name}@{number}",
                "scope": "required" if name in core else "optional",
                "hashes": [{"alg": "SHA-256", "content": one} for one in re.findall(r"sha256:([0-9a-f]{64})", line)],
                **({"licenses": said} if (said := licence(name)) else {}),
            }
        )
    return found


def bill() -> dict[str, Any]:
    """All of it. No date and no serial number: the same tree gives the same bytes."""
    itself = {
        "type": "application",
        "bom-ref": "mien",
        "name": "mien",
        "version": version(),
        "purl": f"pkg:pypi/mien@{version()}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    parts = [*weights(), *page(), *libraries()]
    holds = [part["bom-ref"] for part in parts if part.get("scope") != "optional"]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": parts,
        "dependencies": [{"ref": "mien", "dependsOn": holds}],
    }


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "sbom.cdx.json"
    target.write_text(json.dumps(bill(), indent=1) + "\n", encoding="utf-8")
