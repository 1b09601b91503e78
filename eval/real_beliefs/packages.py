"""The packages of the ladder, by the hashes of their wheels: pure Python, permissive, with examples in docstrings."""

from __future__ import annotations

from trace_mine.eval.real_beliefs.ladder import Package

SEEN = (
    Package("algorithms", "1.0.1", "f45568f40011b264195e7879ef42b043ea1be744479e7b3292a895edef167f64"),
    Package("more-itertools", "11.2.1", "35a7377edd1dd6608dcb2cdf534ded55ea32d49448875ad042cd3f879fb1ded0"),
    Package("toolz", "1.2.0", "890f820b1cb8152785aaf9386d8707770110809035800985ca65cb24ce1120ef"),
    Package("boltons", "26.2.0", "41942cbce440211bbcf2487ccdc356964ad674f95a01068b8a0dd7a1d1fed036"),
    Package("anytree", "2.13.0", "4cbcf10df36b1f1cba131b7e487ff3edafc9d6e932a3c70071b5b768bab901ff"),
    Package("pygtrie", "2.6.2", "51dcc50ecb8291238e261b4e9f8ecca7313b763da258dd320d208ca2bc86b5f4"),
)
"""Of these a part of the functions is trained on, and the other part asked about."""

UNSEEN = (
    Package("pydash", "8.1.0", "61df790f303288df7da3a766c3ca6ea5a8f3ec882b28712bac8d13573dbaba97"),
    Package("sortedcontainers", "2.4.0", "a163dcaede0f1c021485e957a39245190e74249897e2ae4b2aa38595db237ee0"),
    Package("networkx", "3.6.1", "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762"),
    Package("intervaltree", "3.2.1", "a8a8381bbd35d48ceebee932c77ffc988492d22fb1d27d0ba1d74a7694eb8f0b"),
)
"""Of these nothing is trained on."""

DRAWN = ("more-itertools==11.2.1", "networkx==3.6.1", "numpy", "pydash==8.1.0", "toolz==1.2.0")
"""Requirements of the scripts with real draws: networkx needs numpy, whose version is that of the ladder's date."""
