"""A stand-in for gcloud: the commands that Shelfmark uses, with their state in one JSON file.

It knows which things exist and which revision of the service has the traffic; `calls` holds the
words of every call, `given` what was read from standard input.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ.get("FAKE_GCLOUD_STATE", ""))
MAKES = {"create", "create-oidc"}
LOOKS = {"describe"}


def fail(reason: str) -> None:
    sys.exit(f"ERROR: (gcloud) {reason}")


def service(state: dict[str, Any]) -> dict[str, Any]:
    """The service as the real one shows itself."""
    shares = state["traffic"]
    latest = state["revisions"][-1]
    address = state["address"]
    return {
        "status": {
            "url": address,
            "latestCreatedRevisionName": latest,
            "traffic": [
                {**share, **({"url": address} if "tag" in share else {})} for share in shares
            ],
        }
    }


def run_services(state: dict[str, Any], verb: str, words: list[str]) -> str:
    flags = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
    if verb == "describe":
        if not state["revisions"]:
            fail("Cannot find service [shelfmark]")
    elif verb == "replace":
        document = json.loads(Path(words[0]).read_text())
        state["documents"].append(document)
        new = f"shelfmark-{len(state['revisions']) + 1:05d}"
        state["revisions"].append(new)
        state["traffic"] = [
            {key: value for key, value in share.items() if key != "latestRevision"}
            | {"revisionName": share.get("revisionName", new)}
            for share in document["spec"]["traffic"]
        ]
    elif verb == "update-traffic":
        revision, _, percent = flags["--to-revisions"].partition("=")
        state["traffic"] = [{"revisionName": revision, "percent": int(percent)}]
        if tags := flags.get("--set-tags"):
            tag, _, tagged = tags.partition("=")
            state["traffic"].append({"revisionName": tagged, "tag": tag})
    return json.dumps(service(state))


def answer(state: dict[str, Any], words: list[str], given: str) -> str:
    if words[:2] == ["config", "get-value"]:
        return str(state["account"])
    if words[:2] == ["auth", "print-identity-token"]:
        return "a-token"
    if words[:2] == ["projects", "describe"]:
        return "123456"
    if words[:2] == ["run", "services"]:
        return run_services(state, words[2], words[3:])
    if words[:2] == ["storage", "cat"]:
        object_ = state["objects"].get(words[2])
        return object_ if object_ is not None else str(fail(f"{words[2]} not found: 404."))
    if words[:4] == ["artifacts", "docker", "images", "describe"]:
        object_ = state["images"].get(words[4])
        return object_ or str(fail("NOT_FOUND: Requested entity was not found."))
    plain = [word for word in words if not word.startswith("--")]
    if "list" in plain:
        flags = [word for word in words if word.startswith("--filter=")]
        return "its-name" if flags[0] in state["made"] else ""
    for verb in (*LOOKS, *MAKES):
        if verb in plain:
            place = plain.index(verb)
            kind, name = plain[:place], (plain[place + 1] if plain[place + 1 :] else "")
            key = " ".join([*kind, name.partition("@")[0]])
            if verb in LOOKS:
                return key if key in state["made"] else str(fail("NOT_FOUND: no such thing"))
            if key in state["refused"]:
                fail("PERMISSION_DENIED: you may not")
            state["made"].append(key)
            if files := [word for word in words if "-from-file=" in word]:
                named = json.loads(Path(files[0].partition("=")[2]).read_text())["displayName"]
                state["made"] += [
                    f"--filter=displayName='{named}'",
                    f"--filter=displayName={named}",
                ]
    return ""


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quiet"]
    state = json.loads(STATE.read_text())
    given = sys.stdin.read()
    state["calls"].append(words)
    state["given"].append(given)
    STATE.write_text(json.dumps(state))  # also of a call that fails
    response = answer(state, words, given)
    STATE.write_text(json.dumps(state))
    print(response)


if __name__ == "__main__":
    main()
