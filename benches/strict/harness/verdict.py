"""What a proxy has made of a case.

refused      nobody but the proxy saw it, and its sender was told or cut off
normalised   one message arrived, and every reader reads it in the same way
raw          what arrived can be read in several ways, or still holds what it must not
two          more, or other, messages arrived than a strict reader sees: the proxy and its worker disagree
unanswered   nothing came of it in time
"""
ORDER = ("refused", "normalised", "raw", "two", "unanswered")
SAFE = ("refused", "normalised")


def of_request(case, seen, client):
    """(verdict, why)"""
    own = [message for message in seen if message.target != b"/end"]
    others = [message for message in seen if message.target == b"/end"]
    if len(own) > case.requests or len(others) > 1 or any(not is_plain_end(message) for message in others):
        return "two", str([message.start[:60] for message in seen])
    was_swallowed = any(b"/end HTTP" in message.raw for message in own)
    if was_swallowed or client.is_asked_on and not others and not client.is_over:
        return "two", "what followed was read as a part of it"
    for message in own:
        for text in case.never:
            if text in message.raw:
                return "raw", f"{text[:30]!r} arrived"
        if message.faults:
            return "raw", message.faults[0]
    if own:
        return "normalised", ""
    if client.is_late and not client.raw:
        return "unanswered", ""
    return "refused", ""


def is_plain_end(message):
    return message.start.startswith(b"GET /end ") and not message.body


def of_response(case, _seen, client):
    if any(text.lower() in client.raw.lower() for text in case.never):
        return "raw", "what is not for clients reached one"
    following = client.answers[1:2]
    if client.is_asked_on and (following or not client.is_over) and (not following or following[0].body != b"/end"):
        return "two", "the next answer was another one"
    if not client.answers:
        return ("unanswered", "") if client.is_late and not client.raw else ("refused", "")
    answer = client.answers[0]
    if answer.status >= 500 and answer.status != 999:
        return "refused", ""
    if answer.faults or not 200 <= answer.status < 600 or case.get("cut"):
        return "raw", str(answer.faults or answer.start)
    is_known = answer.status != case.get("status") or answer.body == case.get("body", "").encode()
    return ("normalised", "") if is_known else ("raw", f"the body {answer.body[:20]!r}")


def judge(case, seen, client):
    return of_response(case, seen, client) if case.kind == "responses" else of_request(case, seen, client)


def says(case, seen, client):
    """What happened, for people."""
    starts = " | ".join(message.start.decode("latin-1")[:70] for message in seen)
    if case.kind == "http2":
        frames = client.frames
        told = f"status {frames.status(1)}, reset {frames.reset}, goaway {frames.goaway}"
    else:
        told = " ".join(str(answer.status) for answer in client.answers)
    return f"worker: {starts or '-'}; client: {told}{' closed' if client.is_over else ''}{' LATE' if client.is_late else ''}"

