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
    Package("babel", "2.19.0", "6d49734aed1d595b2c065d012174df8c83964692f26fc461702281634dd7555b"),
    Package("humanize", "4.17.0", "02d0899527760efe18011944f882df4970943b4cdff7b5a0ba7fed43a576ef98"),
    Package("rsa", "4.9.1", "68635866661c6836b8d39430f97a996acbd61bfa49406748ea243539fe239762"),
    Package("arrow", "1.4.0", "749f0769958ebdc79c173ff0b0670d59051a535fa26e8eba02953dc19eb43205"),
    Package("sqlglot", "30.30.0", "06c4c212a7868c7dcff0fd0fda348dd3c5cbad40137b3083a70ecdfe22921cf9"),
    Package("inflect", "7.6.0", "9fefad5c0c174d8a38f8c33d3033817e38fca8475f7f226c62efc39d46c83e8a"),
    Package("inflection", "0.5.1", "f38b2b640938a4f35ade69ac3d053042959b62a0f1076a5bbaa1b9526605a8a2"),
    Package("mpmath", "1.4.1", "dc4f0ea2304480d4a9a48a94c1020571558ade522b44a6912efac63a586e140f"),
    Package("multiset", "3.2.0", "d31c6737f537d326835b55be72d0b2e2cf368c874a58cc87879f349273841a1a"),
    Package("natsort", "8.4.0", "4732914fb471f56b5cce04d7bae6f164a592c7712e1c85f9ef585e197299521c"),
    Package("validators", "0.36.0", "c52ad00435e385b95fa4d6dd3081cb20c0660e7fd07b214523c8584dd2edba34"),
)
"""Of these a part of the functions is trained on, and the other part asked about."""

UNSEEN = (
    Package("pydash", "8.1.0", "61df790f303288df7da3a766c3ca6ea5a8f3ec882b28712bac8d13573dbaba97"),
    Package("sortedcontainers", "2.4.0", "a163dcaede0f1c021485e957a39245190e74249897e2ae4b2aa38595db237ee0"),
    Package("networkx", "3.6.1", "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762"),
    Package("intervaltree", "3.2.1", "a8a8381bbd35d48ceebee932c77ffc988492d22fb1d27d0ba1d74a7694eb8f0b"),
    Package("primefac", "2.0.12", "d864ea1f538d0e948a9244401fe248ed7b22818c2cae51f5f3b4d31a4cb34d21"),
    Package("packaging", "26.4", "81383611a09c1bc0b08b76e0fd5829d7c6824c65b27a6aee339da133f4233ea2"),
    Package("nltk", "3.10.4", "769ba5413f265b7d3e87cd163cc28efa01e29eeef8bb6080bc907949d9fcfb51"),
    Package("glom", "25.12.0", "b9f21e77f71a6576a43864e85066b8cc3f0f778d0d50961563f8981377a6dcb1"),
    Package("semver", "3.1.2", "45d107c3fa880910441dfab9d555046cba2829a25feeadfe4a1566439635c510"),
    Package("tabulate", "0.10.0", "f0b0622e567335c8fabaaa659f1b33bcb6ddfe2e496071b743aa113f8774f2d3"),
    Package("hyperlink", "21.0.0", "e6b14c37ecb73e89c77d78cdb4c2cc8f3fb59a885c5b3f819ff4ed80f25af1b4"),
    Package("ordered-set", "4.1.0", "046e1132c71fcf3330438a539928932caf51ddbc582496833e23de611de14562"),
)
"""Of these nothing is trained on."""

DRAWN = ("more-itertools==11.2.1", "networkx==3.6.1", "numpy", "pydash==8.1.0", "toolz==1.2.0")
"""Requirements of the scripts with real draws: networkx needs numpy, whose version is that of the ladder's date."""
