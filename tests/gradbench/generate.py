#!/usr/bin/env python3
"""Writes cases.json: small inputs for each GradBench function, and what it must answer.

The objectives are written here once more, from their definitions, in arithmetic of 60 digits (mpmath); derivatives
are central differences with steps of 1e-20, exact to far more digits than a double has. Inputs are multiples of 1/64,
so that both sides read the same numbers. The tests themselves need no Python: run this only to change the cases.
"""

import json
import os
import random

from mpmath import mp, mpf, cos, exp, gamma, log, matrix, pi, sin, sqrt, tanh

mp.dps = 60
STEP = mpf(10) ** -20
rand = random.Random(4)


def draw(*sizes, low=-1.0, high=1.0):
    """A nested list of multiples of 1/64."""
    if not sizes:
        return round(rand.uniform(low, high) * 64) / 64
    return [draw(*sizes[1:], low=low, high=high) for _ in range(sizes[0])]


def precise(x):
    return [precise(e) for e in x] if isinstance(x, list) else mpf(x)


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(e) for e in x]
    return float(x) if isinstance(x, mpf) else x


def leaves(x):
    """Where each number of a nested list is."""
    if not isinstance(x, list):
        return [()]
    return [(i,) + rest for i, e in enumerate(x) for rest in leaves(e)]


def moved(x, place, by):
    if not place:
        return x + by
    return [moved(e, place[1:], by) if i == place[0] else e for i, e in enumerate(x)]


def flat(x):
    return [e for part in x for e in flat(part)] if isinstance(x, list) else [x]


def partial(f, x, place):
    """The derivative of f, a number or nested list, by one number of x."""
    up, down = f(moved(x, place, STEP)), f(moved(x, place, -STEP))
    if isinstance(up, list):
        return [(a - b) / (2 * STEP) for a, b in zip(flat(up), flat(down))]
    return (up - down) / (2 * STEP)


def gradient(f, x):
    """Nested as x is."""
    def build(part, place):
        if isinstance(part, list):
            return [build(e, place + (i,)) for i, e in enumerate(part)]
        return partial(f, x, place)

    return build(x, ())


def total(values):
    s = mpf(0)
    for v in values:
        s += v
    return s


# ---- gmm -----------------------------------------------------------------------------------------------------------


def lower_triangle(q, l):
    d = len(q)
    m = matrix(d, d)
    p = 0
    for j in range(d):
        m[j, j] = exp(q[j])
        for i in range(j + 1, d):
            m[i, j] = l[p]
            p += 1
    return m


def gmm(alpha, mu, q, l, x, gamma_, m):
    """The logarithm of likelihood times prior, by the densities of the normal and the Wishart distribution."""
    k, d, n = len(alpha), len(mu[0]), len(x)
    weights = [exp(a) / total(map(exp, alpha)) for a in alpha]
    factors = [lower_triangle(q[c], l[c]) for c in range(k)]
    precisions = [f.T * f for f in factors]
    result = mpf(0)
    for i in range(n):
        density = mpf(0)
        for c in range(k):
            away = matrix([x[i][j] - mu[c][j] for j in range(d)])
            square = (away.T * precisions[c] * away)[0]
            density += weights[c] * exp(-square / 2) * sqrt(mp.det(precisions[c])) / sqrt((2 * pi) ** d)
        result += log(density)
    freedom = d + m + 1
    log_gamma = mpf(d * (d - 1)) / 4 * log(pi) + total(log(gamma(mpf(freedom - j) / 2)) for j in range(d))
    for c in range(k):
        trace = gamma_**2 * total(precisions[c][j, j] for j in range(d))
        log_scale = mpf(freedom * d) / 2 * log(2) - freedom * d * log(gamma_) + log_gamma
        result += mpf(freedom - d - 1) / 2 * log(mp.det(precisions[c])) - trace / 2 - log_scale
    return result


def gmm_cases():
    for d, k, n, m in ((2, 3, 4, 0), (3, 2, 5, 2), (5, 4, 9, 1)):
        given = {
            "d": d, "k": k, "n": n, "x": draw(n, d), "m": m, "gamma": 1.5,
            "alpha": draw(k), "mu": draw(k, d), "q": draw(k, d), "l": draw(k, d * (d - 1) // 2),
        }
        parts = ["alpha", "mu", "q", "l"]

        def objective(v):
            return gmm(*v, precise(given["x"]), mpf(given["gamma"]), m)

        at = [precise(given[p]) for p in parts]
        yield "gmm", "objective", given, objective(at)
        yield "gmm", "jacobian", given, dict(zip(parts, gradient(objective, at)))


# ---- ba ------------------------------------------------------------------------------------------------------------


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def rotated(axis, angle, p):
    """By the matrix exponential's closed form: I + sin K + (1 - cos) K^2."""
    once = cross(axis, p)
    twice = cross(axis, once)
    return [p[i] + sin(angle) * once[i] + (1 - cos(angle)) * twice[i] for i in range(3)]


def reprojection(cam, x, w, feat):
    angle = sqrt(total(r * r for r in cam[:3]))
    shifted = [x[i] - cam[3 + i] for i in range(3)]
    seen = rotated([r / angle for r in cam[:3]], angle, shifted) if angle else shifted
    u, v = seen[0] / seen[2], seen[1] / seen[2]
    s = u * u + v * v
    bend = 1 + cam[9] * s + cam[10] * s * s
    return [w * (u * bend * cam[6] + cam[7] - feat[0]), w * (v * bend * cam[6] + cam[8] - feat[1])]


def ends(values):
    return values[:30] + [values[-1]]


def ba_cases():
    for n, m, p in ((2, 3, 10), (3, 2, 13)):
        given = {"n": n, "m": m, "p": p, "cam": draw(11), "x": draw(3, low=1, high=3), "w": 0.75, "feat": draw(2)}
        cam, x, w, feat = (precise(given[key]) for key in ("cam", "x", "w", "feat"))
        errors = reprojection(cam, x, w, feat)
        yield "ba", "objective", given, {
            "reproj_error": {"elements": errors, "repeated": p},
            "w_err": {"element": 1 - w * w, "repeated": p},
        }
        at = cam + x + [w]

        def f(v):
            return reprojection(v[:11], v[11:14], v[14], feat)

        columns = [partial(f, at, (i,)) for i in range(15)]
        rows, cols, vals = [0], [], []
        for i in range(p):
            for e in range(2):
                rows.append(rows[-1] + 15)
                cols += [11 * (i % n) + j for j in range(11)]
                cols += [11 * n + 3 * (i % m) + j for j in range(3)] + [11 * n + 3 * m + i]
                vals += [c[e] for c in columns]
        for i in range(p):
            rows.append(rows[-1] + 1)
            cols.append(11 * n + 3 * m + i)
            vals.append(-2 * w)
        yield "ba", "jacobian", given, {"rows": ends(rows), "cols": ends(cols), "vals": ends(vals)}


# ---- ht ------------------------------------------------------------------------------------------------------------

BONES = 22


def product(a, b):
    return [[total(a[i][k] * b[k][j] for k in range(len(b))) for j in range(len(b[0]))] for i in range(len(a))]


def turned(p, axis, angle):
    basis = [mpf(i == axis) for i in range(3)]
    return rotated(basis, angle, p)


def hand(theta, model):
    """Each vertex, posed."""
    angles = [[mpf(0)] * 3 for _ in range(BONES)]
    at = 6
    for finger in range(5):
        for joint in range(3):
            bone = 4 * finger + 2 + joint
            angles[bone][0] = theta[at]
            at += 1
            if joint == 0:
                angles[bone][1] = theta[at]
                at += 1
    moves = []
    absolutes = []
    for bone in range(BONES):
        columns = []
        for axis in range(3):
            e = [mpf(i == axis) for i in range(3)]
            columns.append(turned(turned(turned(e, 0, angles[bone][0]), 1, angles[bone][2]), 2, angles[bone][1]))
        turn = [[columns[j][i] for j in range(3)] + [mpf(0)] for i in range(3)] + [[mpf(0)] * 3 + [mpf(1)]]
        relative = product(model["base_relatives"][bone], turn)
        parent = model["parents"][bone]
        absolutes.append(relative if parent < 0 else product(absolutes[parent], relative))
        moves.append(product(absolutes[bone], model["inverse_base_absolutes"][bone]))
    angle = sqrt(total(t * t for t in theta[:3]))
    vertices = []
    for i, base in enumerate(model["base_positions"]):
        p = [mpf(0)] * 3
        for bone in range(BONES):
            for j in range(3):
                p[j] += model["weights"][i][bone] * total(moves[bone][j][k] * base[k] for k in range(4))
        if model["is_mirrored"]:
            p[0] = -p[0]
        p = rotated([t / angle for t in theta[:3]], angle, p)
        vertices.append([p[j] + theta[3 + j] for j in range(3)])
    return vertices


def ht_cases():
    v, t, p = 6, 4, 3
    for simple, mirrored in ((False, False), (False, True), (True, True)):
        model = {
            "bone_count": BONES, "bone_names": [f"bone{i}" for i in range(BONES)],
            "parents": [-1] + [rand.randrange(i) for i in range(1, BONES)],
            "base_relatives": draw(BONES, 4, 4), "inverse_base_absolutes": draw(BONES, 4, 4),
            "base_positions": [row + [1.0] for row in draw(v, 3)], "weights": draw(v, BONES, low=0),
            "triangles": [rand.sample(range(v), 3) for _ in range(t)], "is_mirrored": mirrored,
        }
        data = {"model": model, "correspondences": [rand.randrange(t) for _ in range(p)], "points": draw(p, 3)}
        given = {"theta": draw(26), "data": data, "us": [] if simple else draw(p, 2, low=0)}
        exact = {k: precise(e) if k[:2] in ("ba", "we", "in") else e for k, e in model.items() if k != "bone_names"}

        def objective(v):
            vertices = hand(v[0], exact)
            errors = []
            for i, c in enumerate(data["correspondences"]):
                for j in range(3):
                    if simple:
                        there = vertices[c][j]
                    else:
                        a, b, e = model["triangles"][c]
                        u, w = v[1][i]
                        there = u * vertices[a][j] + w * vertices[b][j] + (1 - u - w) * vertices[e][j]
                    errors.append(mpf(data["points"][i][j]) - there)
            return errors

        at = [precise(given["theta"]), precise(given["us"])]
        yield "ht", "objective", given, objective(at)
        columns = [partial(objective, at, (0, i)) for i in range(26)]
        if not simple:
            by_us = [[partial(objective, at, (1, i, e)) for e in range(2)] for i in range(p)]
            columns = [[by_us[r // 3][e][r] for r in range(3 * p)] for e in range(2)] + columns
        yield "ht", "jacobian", given, [[c[r] for c in columns] for r in range(3 * p)]


# ---- lstm ----------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + exp(-x))


def lstm(main, extra, state, sequence):
    b = len(extra[0])
    state = [row[:] for row in state]
    loss = mpf(0)
    for now, then in zip(sequence, sequence[1:]):
        x = [now[j] * extra[0][j] for j in range(b)]
        for i in range(len(state) // 2):
            w, bias, hidden, cell = main[2 * i], main[2 * i + 1], state[2 * i], state[2 * i + 1]
            for j in range(b):
                forget = sigmoid(x[j] * w[j] + bias[j])
                let_in = sigmoid(hidden[j] * w[b + j] + bias[b + j])
                let_out = sigmoid(x[j] * w[2 * b + j] + bias[2 * b + j])
                change = tanh(hidden[j] * w[3 * b + j] + bias[3 * b + j])
                cell[j] = cell[j] * forget + let_in * change
                hidden[j] = let_out * tanh(cell[j])
            x = hidden
        y = [x[j] * extra[1][j] + extra[2][j] for j in range(b)]
        norm = log(2 + total(map(exp, y)))
        loss += total(then[j] * (y[j] - norm) for j in range(b))
    return -loss / ((len(sequence) - 1) * b)


def lstm_cases():
    for l, b, c in ((1, 2, 3), (2, 3, 5)):
        given = {
            "main_params": draw(2 * l, 4 * b), "extra_params": draw(3, b), "state": draw(2 * l, b),
            "sequence": [[float(rand.randrange(2)) for _ in range(b)] for _ in range(c)],
        }
        at = [precise(given["main_params"]), precise(given["extra_params"])]

        def objective(v):
            return lstm(*v, precise(given["state"]), precise(given["sequence"]))

        yield "lstm", "objective", given, objective(at)
        yield "lstm", "jacobian", given, flat(gradient(objective, at))


# ---- the others ----------------------------------------------------------------------------------------------------


def hello_cases():
    for x in (1.0, -2.5, 0.0, 3):
        yield "hello", "square", x, mpf(x) ** 2
        yield "hello", "double", x, 2 * mpf(x)


def kmeans_cases():
    for n, k, d in ((7, 3, 2), (10, 4, 3)):
        points = draw(n, d)
        given = {"points": points, "centroids": points[-k:]}
        where = precise(points)

        def distance(a, b):
            return total((u - v) ** 2 for u, v in zip(a, b))

        centers = precise(given["centroids"])
        nearest = [min(range(k), key=lambda c: distance(a, centers[c])) for a in where]
        yield "kmeans", "cost", given, total(distance(a, centers[c]) for a, c in zip(where, nearest))
        dir_ = []
        for c in range(k):
            mine = [a for a, near in zip(where, nearest) if near == c]
            dir_.append([centers[c][j] - total(a[j] for a in mine) / len(mine) for j in range(d)])
        yield "kmeans", "dir", given, dir_


def llsq_cases():
    for n, m in ((5, 4), (8, 3)):
        given = {"x": draw(m), "n": n}

        def primal(x):
            result = mpf(0)
            for i in range(n):
                t = mpf(-1) + mpf(2 * i) / (n - 1)
                result += (mp.sign(t) - total(x[j] * t**j for j in range(m))) ** 2
            return result / 2

        yield "llsq", "primal", given, primal(precise(given["x"]))
        yield "llsq", "gradient", given, gradient(primal, precise(given["x"]))


def lse_cases():
    for given in ({"x": draw(6, low=-3, high=3)}, {"x": [800.0, 799.5, -900.0]}):
        x = precise(given["x"])
        s = total(map(exp, x))
        yield "lse", "primal", given, log(s)
        yield "lse", "gradient", given, [exp(e) / s for e in x]


def det_cases():
    for n in (1, 2, 4, 5):
        given = {"A": draw(n * n), "ell": n}

        def primal(a):
            return mp.det(matrix(n, n) + matrix([a[i * n:(i + 1) * n] for i in range(n)]))

        yield "det", "primal", given, primal(precise(given["A"]))
        yield "det", "gradient", given, gradient(primal, precise(given["A"]))


def ode_cases():
    for n, s in ((4, 3), (6, 5)):
        given = {"x": draw(n, low=0.25, high=1), "s": s}

        def slope(x, y):
            return [x[i] * (y[i - 1] if i else 1) for i in range(n)]

        def plus(y, h, k):
            return [a + h * b for a, b in zip(y, k)]

        def primal(x):
            h = mpf(2) / s
            y = [mpf(0)] * n
            for _ in range(s):
                k1 = slope(x, y)
                k2 = slope(x, plus(y, h / 2, k1))
                k3 = slope(x, plus(y, h / 2, k2))
                k4 = slope(x, plus(y, h, k3))
                y = [y[i] + h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) for i in range(n)]
            return y

        x = precise(given["x"])
        yield "ode", "primal", given, primal(x)
        yield "ode", "gradient", given, gradient(lambda v: primal(v)[n - 1], x)


def descend(f, slope, x):
    """The suite's gradient descent."""
    x, y, dy, eta, good = x, f(x), slope(x), mpf("1e-5"), 0
    small = mpf("1e-5")
    while sqrt(total(d * d for d in dy)) > small:
        if good == 10:
            eta, good = 2 * eta, 0
            continue
        there = [a - eta * d for a, d in zip(x, dy)]
        if sqrt(total((a - b) ** 2 for a, b in zip(there, x))) <= small:
            return x
        value = f(there)
        if value < y:
            x, y, dy, good = there, value, slope(there), good + 1
        else:
            eta, good = eta / 2, 0
    return x


def miss(v):
    charges = [(mpf(10), 10 - v[0]), (mpf(10), mpf(0))]
    x, y, vx, vy, dt = mpf(0), mpf(8), mpf("0.75"), mpf(0), mpf("0.1")
    while True:
        ax = ay = mpf(0)
        for cx, cy in charges:
            cubed = sqrt((x - cx) ** 2 + (y - cy) ** 2) ** 3
            ax += (x - cx) / cubed
            ay += (y - cy) / cubed
        x, y = x + dt * vx, y + dt * vy
        if y <= 0:
            return (x - y / vy * vx) ** 2
        vx, vy = vx + dt * ax, vy + dt * ay


def particle_cases():
    for w in (0.0, 0.5):
        answer = descend(miss, lambda v: gradient(miss, v), [mpf(w)])[0]
        for modes in ("rr", "ff", "fr", "rf"):
            yield "particle", modes, {"w": w}, answer


def saddle_cases():
    def f(x, y):
        return x[0] ** 2 + x[1] ** 2 - y[0] ** 2 - y[1] ** 2

    for start in ([1.0, 1.0], [0.5, -2.0]):
        s = precise(start)

        def highest(x):
            return f(x, descend(lambda y: -f(x, y), lambda y: [2 * e for e in y], s))

        x = descend(highest, lambda v: [2 * e for e in v], s)
        y = descend(lambda y: -f(x, y), lambda y: [2 * e for e in y], s)
        for modes in ("rr", "ff", "fr", "rf"):
            yield "saddle", modes, {"start": start}, x + y


def main():
    families = [hello_cases, gmm_cases, ba_cases, ht_cases, lstm_cases, kmeans_cases, llsq_cases, lse_cases, det_cases,
                ode_cases, particle_cases, saddle_cases]
    cases = []
    for family in families:
        for module, function, given, output in family():
            cases.append({"module": module, "function": function, "input": given, "output": plain(output)})
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
    with open(where, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
