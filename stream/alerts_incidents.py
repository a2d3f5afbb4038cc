"""One alert for one trouble: alarms of the same step belong together, and muted ones are not told.

A fall in one segment is an alarm of that segment, and soon one of the whole step; both are the same trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from ladder.errors import UsageError
from stream.alerts_config import Mark
from stream.alerts_kinds import Kind
from stream.alerts_notice import Alert, What, alert_of, identity, unit
from stream.alerts_watch import Finding

Quiet = Callable[[Alert], str | None]
"""Why nobody is to be told of an alert; None where somebody is."""

_NAMED = 0.5
"""An alarm of others is told where those that were named carry less than this of it."""
_BACK = 0.5
"""An outage is over when this share of what was silent is heard again."""


@dataclass
class Incident:
    """An alert that is open.

    ``place``: tier and step; of an outage (0, "").  ``lead``: the unit it was raised for.
    ``segment``: the values that it has named so far.  ``open``: its units with open alarms, with what was made of
    their beginning; ``heard``: those that were told of.  ``units``: how many it ever had.  ``lead_lost``: what the lead
    had lost when its own alarm ended.  ``alert``: what was made of the lead's beginning.
    """

    alert_id: str
    place: tuple[int, str]
    lead: str
    segment: tuple[tuple[str, str], ...]
    told: bool
    alert: Alert
    units: int = 1
    open: dict[str, Alert] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    lead_lost: tuple[float, float, float] | None = None


class Incidents:
    """The open ones.  ``findings`` of a watch go in, in their order; alerts come out."""

    def __init__(
        self, ladder: str, tiers: Sequence[str], dashboard: str | None, is_open: Sequence[Incident] = ()
    ) -> None:
        self._ladder, self._tiers, self._dashboard = ladder, tiers, dashboard
        self.open = {incident.alert_id: incident for incident in is_open}
        self._by_unit = {name: incident for incident in is_open for name in incident.open}

    def take(self, finding: Finding, marks: Sequence[Mark], quiet: Quiet) -> Alert:
        """The alert that a finding makes; ``told`` says whether anybody is to hear of it."""

        def alert(what: What, alert_id: str) -> Alert:
            return alert_of(
                finding, what, alert_id,
                ladder=self._ladder, tiers=self._tiers, marks=marks, dashboard=self._dashboard,
            )  # fmt: skip

        name, what = unit(finding), finding.notice.what
        if what == "alarm":
            return self._raise(finding, name, alert, quiet)
        incident = self._by_unit.get(name)
        if incident is None:  # raised before we kept books
            made = alert("changed" if what == "changed" else what, identity(self._ladder, name, finding.raised))
            return replace(made, told=False, quiet="its alarm is not known")
        if what == "changed":
            made = alert("changed", incident.alert_id)
            if name != incident.lead:
                return replace(made, told=False, quiet=_PART)
            return _hushed(made, incident)
        del self._by_unit[name]
        del incident.open[name]
        made = alert(what, incident.alert_id)
        if name == incident.lead:
            incident.lead_lost = made.lost, made.lost_low, made.lost_high
        if incident.alert_id not in self.open:
            return replace(made, told=False, quiet="this alert is over already")
        if not _is_over(incident):
            return replace(made, told=False, quiet="others of this alert are still open")
        del self.open[incident.alert_id]
        self._part_from(incident)
        return _hushed(_of_lead(made, incident), incident)

    def wake(self, minute: datetime, quiet: Quiet) -> list[Alert]:
        """Alerts that were not told when they were raised, are open still, and have no reason to be quiet any more."""
        made = []
        for incident in self.open.values():
            for name, alert in sorted(incident.open.items(), key=lambda one: one[0] != incident.lead):
                if name in incident.heard and incident.told:
                    continue
                late = replace(alert, minute=minute, told=True, quiet=None)
                if not incident.told and _why_quiet(incident, late, quiet) is None:
                    _tell(incident, name, replace(late, what="raised", notice_id=identity(incident.alert_id, "late")))
                    made.append(incident.alert)
                elif incident.told and not _is_part(incident, late) and quiet(late) is None:
                    incident.segment = ()
                    incident.heard.append(name)
                    made.append(replace(late, what="joined", notice_id=identity(alert.notice_id, "late")))
        return made

    def save(self) -> bytes:
        """For ``restore``."""
        kept = {id(incident): incident for incident in (*self.open.values(), *self._by_unit.values())}
        is_open = [(incident, incident.alert_id in self.open) for incident in kept.values()]
        return _encoder.encode(_Saved(_VERSION, is_open))

    @classmethod
    def restore(cls, ladder: str, tiers: Sequence[str], dashboard: str | None, saved: bytes) -> Incidents:
        """Those that ``save`` was called on.

        Raises ``UsageError`` or ``msgspec.DecodeError`` for what another release saved.
        """
        if (version := _version.decode(saved).version) != _VERSION:
            raise UsageError(f"the saved incidents have version {version}, this release reads {_VERSION}")
        kept = _decoder.decode(saved).kept
        incidents = cls(ladder, tiers, dashboard, [incident for incident, _ in kept])
        incidents.open = {incident.alert_id: incident for incident, is_open in kept if is_open}
        return incidents

    def _part_from(self, over: Incident) -> None:
        """Who was muted inside an alert that is over is an alert of their own: they are told of when the mute ends."""
        left = {name: alert for name, alert in over.open.items() if over.told and not _is_part(over, alert)}
        if not left:
            return
        lead = next(iter(left))
        alert_id = identity(over.alert_id, lead)
        link = {} if self._dashboard is None else {"alert": f"{self._dashboard}/alerts/{alert_id}"}
        own = {name: replace(one, alert_id=alert_id, links={**one.links, **link}) for name, one in left.items()}
        self.open[alert_id] = Incident(
            alert_id, over.place, lead, own[lead].segment, told=False, alert=own[lead], units=len(own), open=own,
            heard=[lead],
        )  # fmt: skip
        for name in left:
            del over.open[name]
            self._by_unit[name] = self.open[alert_id]

    def _raise(self, finding: Finding, name: str, alert: Callable[[What, str], Alert], quiet: Quiet) -> Alert:
        kind: Kind = finding.notice.kind
        place = _OUTAGE if kind == "outage" else (finding.tier, finding.step)
        incident = next((one for one in self.open.values() if one.place == place), None)
        if incident is None:
            alert_id = identity(self._ladder, name, finding.raised)
            made = alert("raised", alert_id)
            why = quiet(made)
            made = replace(made, told=why is None, quiet=why)
            incident = Incident(
                alert_id, place, name, finding.segment, why is None, made,
                open={name: made}, heard=[name],
            )  # fmt: skip
            self.open[alert_id] = self._by_unit[name] = incident
            return made
        incident.units += 1
        self._by_unit[name] = incident
        if not incident.told:
            made = alert("raised", incident.alert_id)
            why = _why_quiet(incident, made, quiet)
            incident.open[name] = made
            if why is None:
                _tell(incident, name, made)
            return replace(made, told=why is None, quiet=why)
        made = incident.open[name] = alert("joined", incident.alert_id)
        if _is_part(incident, made):
            return replace(made, told=False, quiet=_PART)
        why = quiet(made)
        if why is None:
            incident.segment = ()  # by now it is about more than was named first
            incident.heard.append(name)
        return replace(made, told=why is None, quiet=why)


_VERSION = 3
_OUTAGE = (0, "")
_PART = "part of an alert that is open"


def _tell(incident: Incident, name: str, alert: Alert) -> None:
    """People are told of an incident by what was made of this unit."""
    incident.told, incident.lead, incident.lead_lost, incident.alert = True, name, None, alert
    incident.heard = [name]
    incident.segment = alert.segment


def _why_quiet(incident: Incident, alert: Alert, quiet: Quiet) -> str | None:
    """Why an alarm of an incident that nobody was told of is not told either; None where it is."""
    if (why := quiet(alert)) is not None:
        return why
    lead = incident.alert
    if (alert.tier, alert.step) != (lead.tier, lead.step) or not _is_about(incident, alert):
        return None
    # Muted people stay so where they show in the sum of all; that few of them ask is no reason to be quiet of the sum.
    return quiet(replace(lead, minute=alert.minute, volume=alert.volume))


def _is_part(incident: Incident, alert: Alert) -> bool:
    """Whether those who were told of an incident need not hear of another alarm of it."""
    return incident.place == _OUTAGE or _is_about(incident, alert)


def _is_about(incident: Incident, alert: Alert) -> bool:
    """Whether those that an incident has named carry the fall of another alarm of the step."""
    named, others = set(incident.segment), set(alert.segment)
    if named <= others:
        return True
    shares = [carrier.share for carrier in alert.carriers if (carrier.column, carrier.value) in named]
    return others < named and min(shares, default=0.0) >= _NAMED


def _is_over(incident: Incident) -> bool:
    """Whether all that people were told of has ended.  What was only part of that may linger, and is no news."""
    if incident.place == _OUTAGE:
        return len(incident.open) <= (1 - _BACK) * incident.units
    return not set(incident.open) & set(incident.heard if incident.told else incident.open)


def _of_lead(alert: Alert, incident: Incident) -> Alert:
    """The end of an alert in terms of those that it was raised for."""
    lead = incident.alert
    if (alert.tier, alert.step, alert.segment) != (lead.tier, lead.step, lead.segment):
        alert = replace(
            alert, tier=lead.tier, tier_name=lead.tier_name, step=lead.step, segment=lead.segment, since=lead.since,
            raised=lead.raised, volume=lead.volume, links=lead.links, series=(),
        )  # fmt: skip
    if incident.lead_lost is None or alert.kind == "outage":
        return alert
    lost, low, high = incident.lead_lost
    return replace(alert, lost=lost, lost_low=low, lost_high=high)


def _hushed(alert: Alert, incident: Incident) -> Alert:
    return alert if incident.told else replace(alert, told=False, quiet="nobody was told that it began")


class _Version(msgspec.Struct):
    version: int


class _Saved(_Version):
    kept: list[tuple[Incident, bool]]
    """Incidents, and whether each is open."""


_encoder = msgspec.json.Encoder()
_version = msgspec.json.Decoder(_Version)
_decoder = msgspec.json.Decoder(_Saved)
