"""Words and numbers that are nobody's: what people write into examples, and what everybody knows."""

from __future__ import annotations

_ANYBODY = """
a b c x y z foo bar baz qux spam eggs ham test tests tester testing user users user1 user2 username name email mail
me you someone somebody anyone nobody admin root info example sample demo dummy fake abc xyz hello author first.last
firstname.lastname your.email your_email your-email youremail your.name yourname person local contact support
"""
ANYBODY = frozenset(_ANYBODY.split())
"""Names before the ``@`` of addresses that people make up."""

_ANYWHERE = """
foo bar baz foobar spam eggs test tests testing domain yourdomain mydomain mysite mail email host hostname server
company yourcompany site website sample demo dummy fake abc xyz a b c d x y z address provider somewhere nowhere
example1 example2 your
"""
ANYWHERE = frozenset(_ANYWHERE.split())
"""Domains, without their last label, of addresses that people make up."""

_COUNTRY_CODES = """
1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86
90 91 92 93 94 95 98 212 213 216 218 220 221 223 224 225 226 227 228 229 230 231 233 234 237 241 242 243 244 248 249
250 251 252 253 254 255 256 257 258 260 261 263 264 265 266 267 268 269 291 297 298 299 350 351 352 353 354 355 356
357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 385 386 387 389 420 421 423 500 501 502 503 504 505 506
507 508 509 590 591 592 593 594 595 596 597 598 670 673 674 675 676 677 678 679 680 682 685 686 687 688 689 690 691
692 850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994 995
996 998
"""
COUNTRY_CODES = frozenset(_COUNTRY_CODES.split())
"""Countries' calling codes."""

_RESOLVERS = """
8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 9.9.9.9 208.67.222.222 208.67.220.220 2001:4860:4860::8888 2001:4860:4860::8844
2606:4700:4700::1111 2606:4700:4700::1001
"""
RESOLVERS = frozenset(_RESOLVERS.split())
"""Addresses of name servers that everybody knows."""

_NOBODYS_HOME = """
user users username name me you root runner ubuntu vagrant docker node app jovyan travis circleci appveyor
runneradmin containeradministrator public shared default guest foo bar baz test tester someone somebody yourname
your_name your-name your-username yourusername myuser home admin site-packages lib bin example project hello world
web www deploy myproject myapp
"""
NOBODYS_HOME = frozenset(_NOBODYS_HOME.split())
"""Names of home folders that are no person's."""
