"""Programs of the model are run and judged by what they print."""

from main_api.bundled_model.evaluation.programs import draws, run


def test_a_program_prints_beside_its_files() -> None:
    code = "import csv\nprint(sum(int(row['amount']) for row in csv.DictReader(open('sales.csv'))))"

    ran = run(code, {"sales.csv": "month,amount\nJan,120\nFeb,95\n"})

    assert (ran.ended_well, ran.printed) == (True, "215\n")


def test_a_program_that_fails_says_why() -> None:
    ran = run("print(1)\nprint(nobody)", {})

    assert not ran.ended_well
    assert ran.printed == "1\n"
    assert ran.complaint.startswith("NameError")


def test_a_plot_runs_without_matplotlib() -> None:
    code = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.bar(['a'], [1])\nplt.plot([1, 2])\nplt.show()"

    assert run(code, {}).ended_well
    assert draws(code)
    assert not run(f"{code}\nnobody()", {}).ended_well


def test_a_text_that_names_matplotlib_is_no_plot_unless_it_compiles() -> None:
    assert not draws("import matplotlib.pyplot as")
    assert not draws("print('no plot')")


def test_an_endless_output_ends() -> None:
    ran = run("while True:\n    print('again and again and again')", {})

    assert not ran.ended_well
    assert len(ran.printed) <= 4_000
