"""The four questions of the checklist, each answered from the facts alone."""

from __future__ import annotations

from collections.abc import Sequence

from answers.audit_facts import Answer, AuditFacts, Evidence, Friction, Transition
from answers.audit_leaps import below, rungs
from answers.audit_verdict import Borders, Verdict, verdict, verdict_of_parts
from answers.audit_words import quoted, tier_called
from answers.harmless import harmless_name
from answers.numbers import count, counted, interval, listing, percent
from answers.sections.section import more_or_less
from ladder.rates import Rate, wilson
from ladder.tiers import Ladder

BIG_ASK = Borders(no=0.05, yes=0.25)
"""Shares of the visitors asked for anything above the lowest tier who were ever asked too much too soon."""
VALUE_FIRST = Borders(no=0.2, yes=0.8)
"""Shares of the visitors' starts that give, or that give and take at once."""
IN_ORDER = Borders(no=0.5, yes=0.5)
"""Shares of the visitors asked for a tier who held the one before when they first were."""
CELEBRATED = Borders(no=0.2, yes=0.8)
"""Shares of the yeses above the lowest tier that were cheered in time."""

MOST_SESSIONS = 5


def big_ask(facts: AuditFacts, ladder: Ladder) -> Answer:
    """Is there a big ask out of the blue: for more than one tier above what somebody holds?"""
    title = "Is there a big ask out of the blue?"
    asked, surprised = (facts.surprised.asked, facts.surprised.surprised) if facts.surprised is not None else (0, 0)
    share = wilson(surprised, asked)
    found = verdict(share, share, BIG_ASK)
    if asked == 0:
        said: tuple[str, ...] = (f"No ask above {tier_called(1, ladder)} has had its time to be answered yet.",)
    else:
        said = (
            f"Of {counted(asked, 'visitor')} asked for anything above {tier_called(1, ladder)}, "
            f"{count(surprised)} {'was' if surprised == 1 else 'were'} asked at least once for "
            f"more than one tier above what they held: {_measured(share)}.",
            *_where_too_soon(facts, ladder),
            *_unsure(found, share, BIG_ASK),
        )
    evidence = (_evidence("visitors asked too much too soon", surprised, asked),)
    return Answer("big_ask", title, "no", found, said, evidence, _sessions(facts, found, "too soon", "in order"))


def value_first(facts: AuditFacts) -> Answer:
    """Does the first interaction give?"""
    title = "Does the first interaction give, rather than take?"
    units = {start.start: start.units for start in facts.value.starts} if facts.value is not None else {}
    gives, takes, both = units.get("gives", 0), units.get("takes", 0), units.get("both", 0)
    starts = gives + takes + both
    only, at_all = wilson(gives, starts), wilson(gives + both, starts)
    found = verdict(only, at_all, VALUE_FIRST)
    if starts == 0:
        said: tuple[str, ...] = ("There is no start to judge: nobody new has met anything that gives or takes.",)
    else:
        said = (
            f"Of {counted(starts, 'visitor')}, {count(gives)} began with something given ({_measured(only)}), "
            f"{count(takes)} with something asked of them and {count(both)} with both at once.",
            *_gift(facts),
            *_unsure(found, only if both == 0 else None, VALUE_FIRST),
        )
    evidence = (
        _evidence("visitors who began with something given", gives, starts),
        _evidence("visitors who began with something given, or with both", gives + both, starts),
        *_kept_promises(facts),
    )
    against = "both" if both > takes else "takes"
    return Answer("value_first", title, "yes", found, said, evidence, _sessions(facts, found, "gives", against))


def transitions(facts: AuditFacts, frictions: Sequence[Friction], ladder: Ladder) -> tuple[Transition, ...]:
    """From rung to rung, upwards; only tiers that somebody was asked for who held less.

    The lowest tier is none of them: nothing comes before it, so that it would follow whatever people do.

    A transition is yes where surely most of those asked held the tier right below when they first were, and no leap
    from the rung before is a friction point; no where surely most did not (nobody does where that tier has no yes), or
    one is.
    """
    at_stage = {row.stage: row.units for row in facts.stands.stages} if facts.stands is not None else {}
    found = []
    for tier in rungs(ladder):
        lower = below(tier, ladder)
        held = {row.held_tier: row.visitors for row in facts.came if row.tier == tier}
        came, in_order = sum(held.values()), held.get(tier - 1, 0)
        if came == 0 or tier == 1:
            continue
        ways = [way for way in facts.ways if (way.held_tier, way.tier) == (lower, tier)]
        asked, yes = sum(way.asked for way in ways), sum(way.yes for way in ways)
        share = wilson(in_order, came)
        own = verdict(share, share, IN_ORDER)
        if any((friction.held_tier, friction.tier) == (lower, tier) for friction in frictions):
            own = "no"
        found.append(
            Transition(
                lower, ("nothing", *ladder.tiers)[lower], ladder.stage_of(lower),
                tier, ladder.tiers[tier - 1], ladder.stage_of(tier), at_stage.get(ladder.stage_of(tier), 0),
                came, in_order, *share, asked, yes, *wilson(yes, asked), own,
            )
        )  # fmt: skip
    return tuple(found)


def each_step(steps: Sequence[Transition], frictions: Sequence[Friction], facts: AuditFacts, ladder: Ladder) -> Answer:
    """Does each step follow from the one before?"""
    title = "Does each step follow from the one before?"
    found = verdict_of_parts(tuple(step.verdict for step in steps))
    said: tuple[str, ...] = (
        f"No ask for more than somebody held, above {tier_called(1, ladder)}, has had its time to be answered yet.",
    )
    if steps:
        said = (
            *_of_steps(steps, "yes", "follow from the step before"),
            *_of_steps(steps, "no", "do not follow"),
            *_of_steps(steps, "not enough data", "cannot be judged, of too few people"),
            *(_skipped(step, ladder) for step in steps if step.in_order_share_high < IN_ORDER.no),
            *(
                f"{quoted(one.step)} is a friction point for those who hold {harmless_name(one.held)}."
                for one in frictions
                if any((one.held_tier, one.tier) == (step.held_tier, step.tier) for step in steps)
            ),
        )
    evidence = tuple(
        _evidence(
            f"asked for {harmless_name(step.name)} while they held {tier_called(step.tier - 1, ladder)}",
            step.in_order,
            step.came,
        )
        for step in steps
    )
    lost = [session for one in frictions for session in one.sessions]
    sessions = (*lost, *_sessions(facts, found, "in order", "too soon"))
    return Answer("each_step", title, "yes", found, said, evidence, tuple(dict.fromkeys(sessions))[:MOST_SESSIONS])


def celebrated(facts: AuditFacts, ladder: Ladder) -> Answer:
    """Are wins celebrated: yeses above the lowest tier, which costs attention only?"""
    title = "Are wins celebrated?"
    wins = [row for row in facts.after_yes if row.tier > 1]
    yeses, cheered = sum(row.yeses for row in wins), sum(row.cheered for row in wins)
    is_told = any(mark.role == "cheer" for rule in ladder.rules for mark in rule.marks)
    share = wilson(cheered, yeses)
    found: Verdict = verdict(share, share, CELEBRATED) if is_told else "not enough data"
    if not is_told:
        said: tuple[str, ...] = (
            "The ladder names no event for a cheer, so nobody can tell. "
            'Give the event that says thanks role = "cheer".',
        )
    elif yeses == 0:
        said = (f"Nobody has said yes to anything above {tier_called(1, ladder)} yet.",)
    else:
        never = [quoted(row.step) for row in wins if not row.has_cheer]
        said = (
            f"Of {counted(yeses, 'yes', 'yeses')} above {tier_called(1, ladder)}, {count(cheered)} "
            f"{'was' if cheered == 1 else 'were'} cheered within 10 seconds: "
            f"{_measured(share)}.",
            *((f"The ladder names no cheer for {listing(never)}.",) if never else ()),
            *_cheer(facts),
            *_unsure(found, share, CELEBRATED),
        )
    evidence = (_evidence("yeses cheered", cheered, yeses),) if is_told else ()
    sessions = _sessions(facts, found, "cheered", "uncheered") if is_told else ()
    return Answer("celebrated", title, "yes", found, said, evidence, sessions)


def _where_too_soon(facts: AuditFacts, ladder: Ladder) -> tuple[str, ...]:
    if facts.too_soon is None or facts.too_soon.too_soon.asks == 0:
        return ()
    soon, in_order = facts.too_soon.too_soon, facts.too_soon.in_order
    worst = max(facts.too_soon.worst, key=lambda step: step.asks)
    where = f"Most often it was {quoted(worst.step)} ({tier_called(worst.tier, ladder)}): {counted(worst.asks, 'ask')}."
    if in_order.asks == 0:
        return (where,)
    found = facts.too_soon
    yes = Rate(found.yes_rate_difference, found.yes_rate_difference_low, found.yes_rate_difference_high)
    return (
        where,
        f"Asks too soon got a yes in {percent(soon.yes_rate)}, asks in order in {percent(in_order.yes_rate)}: "
        f"{more_or_less(yes)}.",
    )


def _gift(facts: AuditFacts) -> tuple[str, ...]:
    effect = facts.of_a_gift
    if effect is None:
        return ()
    return (
        f"Those who were given something first said yes to {percent(effect.one.value)} of their first asks, those who "
        f"were asked first to {percent(effect.other.value)}, tier by tier: {more_or_less(effect.difference)}.",
    )


def _kept_promises(facts: AuditFacts) -> tuple[Evidence, ...]:
    promised = [row for row in facts.after_yes if row.has_reward]
    yeses, rewarded = sum(row.yeses for row in promised), sum(row.rewarded for row in promised)
    return (_evidence("promised rewards that arrived", rewarded, yeses),) if yeses else ()


def _cheer(facts: AuditFacts) -> tuple[str, ...]:
    effect = facts.of_a_cheer
    if effect is None:
        return ()
    return (
        f"After a cheer people said yes to {percent(effect.one.value)} of what they were asked next, without one to "
        f"{percent(effect.other.value)}, step by step: {more_or_less(effect.difference)}.",
    )


def _of_steps(steps: Sequence[Transition], of: Verdict, words: str) -> tuple[str, ...]:
    some = [f"{harmless_name(step.name)} (after {harmless_name(step.held)})" for step in steps if step.verdict == of]
    return (f"{count(len(some))} of {count(len(steps))} {words}: {listing(some)}.",) if some else ()


def _skipped(step: Transition, ladder: Ladder) -> str:
    below_it = tier_called(step.tier - 1, ladder)
    share = Rate(step.in_order_share, step.in_order_share_low, step.in_order_share_high)
    said = (
        f"Of {counted(step.came, 'visitor')} asked for {harmless_name(step.name)}, {count(step.in_order)} held "
        f"{below_it} when they first were: {_measured(share)}."
    )
    return f"{said} The ladder has no yes of {below_it}." if step.held_tier < step.tier - 1 else said


def _unsure(found: Verdict, share: Rate | None, borders: Borders) -> tuple[str, ...]:
    """Between which verdicts the interval of the one share leaves the choice."""
    if found != "not enough data" or share is None:
        return ("Of too few to say.",) if found == "not enough data" else ()
    left = [
        name
        for name, is_open in (
            ("no", share.low < borders.no),
            ("partly", share.high > borders.no and share.low < borders.yes),
            ("yes", share.high > borders.yes),
        )
        if is_open
    ]
    return (f"Of too few to say: it may be {listing(left, 'or')}.",)


def _sessions(facts: AuditFacts, found: Verdict, of_yes: str, of_no: str) -> tuple[str, ...]:
    """Those that show the verdict; of one that is neither yes nor no some of both."""
    yes, no = facts.witnesses.get(of_yes, ()), facts.witnesses.get(of_no, ())
    if found == "yes":
        return yes
    if found == "no":
        return no
    half = (MOST_SESSIONS + 1) // 2
    return tuple(dict.fromkeys((*yes[:half], *no[: MOST_SESSIONS - half], *yes, *no)))[:MOST_SESSIONS]


def _evidence(what: str, counted: int, of: int) -> Evidence:
    return Evidence(what, counted, of, *wilson(counted, of))


def _measured(share: Rate) -> str:
    return f"{percent(share.value)} ({interval(share.low, share.high)})"
