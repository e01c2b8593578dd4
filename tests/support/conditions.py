"""What every object of ours must look like at any moment, for kstatus and for people."""

_POSITIVE = {"Ready", "Healthy", "ArtifactInStorage", "SourceVerified"}


def condition(thing, kind):
    """The condition of that type, or an empty dict."""
    for each in (thing or {}).get("status", {}).get("conditions") or []:
        if each.get("type") == kind:
            return each
    return {}


def is_ready(thing):
    """Ready for its newest spec, as `kubectl wait` and kstatus see it."""
    ready = condition(thing, "Ready")
    return (ready.get("status") == "True" and thing["status"].get("observedGeneration") == thing["metadata"]["generation"]
            and condition(thing, "Reconciling").get("status") != "True")


def complaints(thing):
    """What is wrong with the object's conditions; empty when all is well."""
    wrong = []
    generation = thing["metadata"].get("generation", 0)
    status = thing.get("status") or {}
    conditions = status.get("conditions") or []
    observed = status.get("observedGeneration", -1)
    if observed > generation:
        wrong.append(f"status.observedGeneration {observed} is ahead of generation {generation}")
    names = [each.get("type") for each in conditions]
    wrong += [f"condition {name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    for each in conditions:
        name = each.get("type")
        if each.get("status") not in ("True", "False", "Unknown"):
            wrong.append(f"{name} has status {each.get('status')!r}")
        if not each.get("reason") or not each.get("lastTransitionTime"):
            wrong.append(f"{name} lacks reason or lastTransitionTime")
        if not each.get("message") and name in ("Ready", "Stalled"):
            wrong.append(f"{name} has no message")
        if each.get("observedGeneration", 0) > generation:
            wrong.append(f"{name}.observedGeneration is ahead of the generation")
        if name not in _POSITIVE and each.get("status") != "True":
            wrong.append(f"{name}={each.get('status')}: bad news is there only while it is True")
    wrong += _contradictions(thing, conditions, observed, generation)
    return wrong


def _contradictions(thing, conditions, observed, generation):
    wrong = []
    ready, reconciling, stalled = (condition(thing, name) for name in ("Ready", "Reconciling", "Stalled"))
    if conditions and not ready:
        wrong.append("there are conditions, but no Ready")
    if reconciling and stalled:
        wrong.append("Reconciling and Stalled at once")
    if ready.get("status") == "True" and (reconciling or stalled):
        wrong.append("Ready=True while Reconciling or Stalled")
    if stalled and ready and (ready.get("status") != "False" or ready.get("reason") != stalled.get("reason")):
        wrong.append(f"Stalled ({stalled.get('reason')}), but Ready={ready.get('status')} ({ready.get('reason')})")
    if ready.get("status") == "False" and not reconciling and not stalled:
        # kstatus would call this "Current": neither at work nor given up.
        wrong.append("Ready=False, yet neither Reconciling nor Stalled")
    if ready.get("status") == "True" and ready.get("observedGeneration") == generation and observed != generation:
        wrong.append(f"Ready=True for generation {generation}, but status.observedGeneration is {observed}")
    if stalled and stalled.get("observedGeneration") == generation and observed != generation:
        wrong.append(f"Stalled for generation {generation}, but status.observedGeneration is {observed}")
    return wrong
