"""Short scripts that call functions which draw by themselves: the rung of real draws.

Each imports a package's function with randomness of its own (the standard library's, more-itertools', toolz', pydash's,
networkx'), draws once, and asks for a part of what was drawn before it asks for all. None of them was edited.
"""

from __future__ import annotations

_NETWORKX = "import networkx as nx\n"


def _graph(call: str, show: str = "len(g.edges)") -> str:
    """The script that makes a graph, shows a part of it, and then its edges."""
    return f"{_NETWORKX}g = nx.{call}\nprint({show})\nprint(sorted(g.edges))\n"


SCRIPTS: dict[str, str] = {
    # the standard library
    "random.shuffle": "import random\nxs = [1, 2, 3]\nrandom.shuffle(xs)\nprint(xs[0])\nprint(xs)\n",
    "random.sample": "import random\nxs = random.sample('abcd', 2)\nprint('a' in xs)\nprint(xs)\n",
    "random.choices": (
        "import random\nxs = random.choices('ab', weights=[1, 3], k=3)\nprint(xs.count('a'))\nprint(xs)\n"
    ),
    "random.randrange": "import random\nn = random.randrange(1, 20, 3)\nprint(n > 8)\nprint(n)\n",
    "random.uniform": "import random\nx = random.uniform(0, 10)\nprint(x < 4)\nprint(x < 2)\n",
    "random.gauss": "import random\nx = random.gauss(0, 1)\nprint(x > 0)\nprint(x > 1)\n",
    "random.expovariate": "import random\nx = random.expovariate(0.5)\nprint(x < 1)\nprint(x < 3)\n",
    "random.triangular": "import random\nx = random.triangular(0, 1, 0.5)\nprint(x < 0.5)\n",
    "random.betavariate": "import random\nx = random.betavariate(2, 2)\nprint(x < 0.5)\n",
    "random.SystemRandom": "import random\nr = random.SystemRandom()\nn = r.randint(1, 6)\nprint(n % 2)\nprint(n)\n",
    "secrets.choice": "import secrets\nc = secrets.choice('xyz')\nprint(c < 'z')\nprint(c)\n",
    "secrets.randbelow": "import secrets\nn = secrets.randbelow(5)\nprint(n > 2)\nprint(n)\n",
    "turtledemo.nim": (
        "import random\nrandom.seed()\nfrom random import randint\n"
        "def randommove(state):\n    m = max(state)\n    while True:\n        z = randint(0, 2)\n"
        "        if state[z] > (m > 1):\n            break\n"
        "    rand = randint(m > 1, state[z] - 1)\n    return z, rand\n"
        "move = randommove([2, 0, 3])\nprint(move[0])\nprint(move)\n"
    ),
    # more_itertools
    "more_itertools.random_product": (
        "from more_itertools import random_product\np = random_product('ab', [1, 2, 3])\nprint(p[0])\nprint(p)\n"
    ),
    "more_itertools.random_permutation": (
        "from more_itertools import random_permutation\np = random_permutation(range(4), 2)\nprint(p[0])\nprint(p)\n"
    ),
    "more_itertools.random_combination": (
        "from more_itertools import random_combination\nc = random_combination(range(5), 2)\nprint(0 in c)\nprint(c)\n"
    ),
    "more_itertools.random_combination_with_replacement": (
        "from more_itertools import random_combination_with_replacement as f\nc = f(range(3), 2)\n"
        "print(c[0] == c[1])\nprint(c)\n"
    ),
    "more_itertools.random_derangement": (
        "from more_itertools import random_derangement\nd = random_derangement('abc')\nprint(d[0])\nprint(d)\n"
    ),
    "more_itertools.sample": (
        "from more_itertools import sample\ns = sample(iter('abc'), 2, strict=True)\nprint(len(s))\nprint('a' in s)\n"
    ),
    "more_itertools.sample counts": (
        "from more_itertools import sample\ns = sample('ab', 2, counts=[2, 1])\nprint('b' in s)\nprint(s)\n"
    ),
    # pydash
    "pydash.sample": "import pydash\nx = pydash.sample([3, 5, 9])\nprint(x > 4)\nprint(x)\n",
    "pydash.sample_size": "import pydash\nx = pydash.sample_size([1, 2, 3], 2)\nprint(1 in x)\nprint(x)\n",
    "pydash.shuffle": "import pydash\nx = pydash.shuffle([1, 2, 3])\nprint(x[2])\nprint(x)\n",
    "pydash.random": "import pydash\nx = pydash.random(1, 4)\nprint(x < 3)\nprint(x)\n",
    "pydash.random floating": "import pydash\nx = pydash.random(0, 4, floating=True)\nprint(x < 3)\n",
    # toolz
    "toolz.random_sample": (
        "from toolz import random_sample\nx = list(random_sample(0.5, range(4)))\nprint(len(x))\nprint(x)\n"
    ),
    "toolz.random_sample 0.1": (
        "from toolz import random_sample\nx = list(random_sample(0.1, 'abcde'))\nprint(x == [])\nprint(x)\n"
    ),
    # networkx
    "networkx.gnp_random_graph": _graph("gnp_random_graph(3, 0.3)"),
    "networkx.gnp_random_graph directed": _graph("gnp_random_graph(3, 0.5, directed=True)"),
    "networkx.fast_gnp_random_graph": _graph("fast_gnp_random_graph(3, 0.5)"),
    "networkx.gnm_random_graph": _graph("gnm_random_graph(4, 2)", "g.has_edge(0, 1)"),
    "networkx.dense_gnm_random_graph": _graph("dense_gnm_random_graph(4, 3)", "g.has_edge(0, 1)"),
    "networkx.watts_strogatz_graph": _graph("watts_strogatz_graph(4, 2, 0.5)", "g.has_edge(0, 1)"),
    "networkx.newman_watts_strogatz_graph": _graph("newman_watts_strogatz_graph(4, 2, 0.5)"),
    "networkx.barabasi_albert_graph": _graph("barabasi_albert_graph(5, 1)", "max(d for _, d in g.degree)"),
    "networkx.random_regular_graph": _graph("random_regular_graph(2, 4)", "g.has_edge(0, 1)"),
    "networkx.random_lobster": _graph("random_lobster(2, 0.3, 0.3)"),
    "networkx.random_labeled_tree": _graph("random_labeled_tree(4)", "max(d for _, d in g.degree)"),
    "networkx.random_unlabeled_tree": _graph("random_unlabeled_tree(5)", "max(d for _, d in g.degree)"),
    "networkx.gn_graph": _graph("gn_graph(4)", "max(d for _, d in g.degree)"),
    "networkx.gnr_graph": _graph("gnr_graph(4, 0.5)", "g.has_edge(3, 0)"),
    "networkx.gnc_graph": _graph("gnc_graph(4)"),
    "networkx.random_k_out_graph": _graph("random_k_out_graph(3, 1, 1.0)", "g.has_edge(0, 1)"),
    "networkx.random_uniform_k_out_graph": _graph("random_uniform_k_out_graph(3, 1)", "g.has_edge(0, 1)"),
    "networkx.random_tournament": _graph("tournament.random_tournament(3)", "g.has_edge(0, 1)"),
    "networkx.configuration_model": _graph("configuration_model([2, 1, 1])", "g.number_of_edges(0, 0)"),
    "networkx.stochastic_block_model": _graph("stochastic_block_model([2, 1], [[0.9, 0.2], [0.2, 0.9]])"),
    "networkx.random_partition_graph": _graph("random_partition_graph([2, 2], 0.8, 0.1)"),
    "networkx.relaxed_caveman_graph": _graph("relaxed_caveman_graph(2, 2, 0.5)"),
    "networkx.duplication_divergence_graph": _graph("duplication_divergence_graph(3, 0.5)"),
    "networkx.partial_duplication_graph": _graph("partial_duplication_graph(4, 2, 0.5, 0.5)"),
    "networkx.bipartite.random_graph": _graph("bipartite.random_graph(2, 2, 0.4)"),
    "networkx.maximal_independent_set": (
        f"{_NETWORKX}s = nx.maximal_independent_set(nx.path_graph(4))\nprint(0 in s)\nprint(sorted(s))\n"
    ),
    "networkx.random_spanning_tree": (
        f"{_NETWORKX}g = nx.random_spanning_tree(nx.cycle_graph(3))\nprint(g.has_edge(0, 1))\nprint(sorted(g.edges))\n"
    ),
    "networkx.utils.weighted_choice": (
        "from networkx.utils import weighted_choice\nx = weighted_choice({'a': 1, 'b': 3})\nprint(x)\n"
    ),
    "networkx.utils.random_weighted_sample": (
        "from networkx.utils import random_weighted_sample as f\nx = f({'a': 1, 'b': 2, 'c': 1}, 2)\nprint('b' in x)\n"
    ),
    "networkx.double_edge_swap": (
        f"{_NETWORKX}g = nx.double_edge_swap(nx.path_graph(4), nswap=1)\n"
        "print(g.has_edge(0, 1))\nprint(sorted(g.edges))\n"
    ),
}
