"""Rates whose trials come in clusters, such as the sessions of one visitor, which are more alike than those of two."""

from __future__ import annotations

from dataclasses import dataclass

from ladder.rates import Rate, wilson


@dataclass(frozen=True)
class Clustered:
    """Trials and successes of ``clusters``, and the sums over them of their squares and of their products."""

    clusters: int
    trials: int
    successes: int
    trials_squared: int
    products: int
    successes_squared: int

    @property
    def effective_trials(self) -> float:
        """How many independent trials would tell as much; never more than there are.

        The variance of a ratio of cluster totals by linearisation, Cochran (1977), Sampling Techniques, 3rd ed.,
        section 6.3, against that of a binomial share.  Where all answer alike, of which no variance follows, each
        cluster is taken for a single trial.
        """
        if self.clusters < 2:
            return float(self.clusters)
        share = self.successes / self.trials
        binomial = share * (1 - share) / self.trials
        if binomial == 0:
            return float(self.clusters)
        residuals = self.successes_squared - 2 * share * self.products + share * share * self.trials_squared
        variance = self.clusters / (self.clusters - 1) * residuals / self.trials**2
        return self.trials if variance <= binomial else self.trials * binomial / variance

    def rate(self, z: float) -> Rate:
        """The share of successes, with its interval at the point ``z`` of the normal distribution.

        Wilson's with the effective number of trials, scaled by (z/t)² for the degrees of freedom that few clusters
        leave: Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of positive
        counts estimated from survey data", Survey Methodology 24: 193-201; Dean and Pagano (2015), "Evaluating
        confidence interval methods for binomial proportions in clustered surveys", JSSAM 3: 484-503.
        """
        if self.trials == 0:
            return Rate(0.0, 0.0, 1.0)
        if self.clusters < 2:
            return Rate(self.successes / self.trials, 0.0, 1.0)
        counts = self.trials if self.trials == self.clusters == self.trials_squared else self.effective_trials
        if counts != self.trials:
            counts *= (z / t_point(z, self.clusters - 1)) ** 2
        share = self.successes / self.trials
        return Rate(share, *wilson(min(share * counts, counts), counts, z)[1:])


def t_point(z: float, freedom: int) -> float:
    """The point of Student's t distribution that lies where ``z`` does in the normal one.

    The first terms of its expansion: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.5.  Within
    0.3 % from 6 degrees of freedom on for z up to 3.4.
    """
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4
