"""The top-level domains that an e-mail address may end in: those of countries, and the generic ones in use.

A list and not "any letters": ``weights@self.data`` is a product of matrices.
"""

COUNTRIES = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg
ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi
gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw
ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng
ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn
so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws
ye yt za zm zw
"""
GENERIC = """
academy aero agency app art asia bank berlin biz blog business cat center chat club cloud codes com community company
consulting coop design dev digital edu education email engineering energy expert finance foundation fun gmbh gov group
health host info institute int international jobs life limited link live london ltd management marketing media mil mobi
museum name net network news one online org page paris partners photo post press pro science services shop site social
software solutions space store studio support systems team tech technology tel today tools top travel university
ventures vip website wiki work works world xyz zone
"""
TOP_LEVEL_DOMAINS = frozenset((*COUNTRIES.split(), *GENERIC.split()))
