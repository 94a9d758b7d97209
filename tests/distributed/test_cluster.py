"""Dask clusters: addresses, lost schedulers and errors of one line."""

import gc
import os
import sys

import distributed
import pytest

import compare
from data_preparation import __main__ as preparation
from samtl.common.errors import UserError
from samtl.distributed import cluster


def test_without_a_scheduler_there_is_no_client():
    with cluster.connect(None) as client:
        assert client is None


def test_a_scheduler_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(UserError, match=r"no Dask .*=tcp://127\.0\.0\.1:9 with"),
        cluster.connect("tcp://127.0.0.1:9"),
    ):
        pass
    gc.collect()  # the client, before another one starts


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (
            "tls://a:1",
            TypeError("no ssl_context"),
            "needs certificates .* docs",
        ),
        ("tcp://a:b:1", ValueError("ipv6"), "no Dask scheduler answers"),
        # The reply of a web server, read as the length of a message.
        ("tcp://a:1", MemoryError("3.07 EiB"), "no Dask scheduler answers"),
    ],
)
def test_errors_of_dask_for_other_addresses(
    monkeypatch, address, error, message
):
    def fail(*_, **__):
        raise error

    # Dask's own clients that fail like this end whenever they are collected,
    # which waits forever if it is while another one starts.
    monkeypatch.setattr(distributed, "Client", fail)
    with pytest.raises(UserError, match=message), cluster.connect(address):
        pass


def test_dask_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UserError, match="pip install -r requirements-cluster"),
        cluster.connect("tcp://127.0.0.1:9"),
    ):
        pass


def test_an_address_is_checked_first():
    with pytest.raises(UserError, match="'here:1' is not tcp://HOST:PORT"):
        compare.main(["--scheduler=here:1"])
    with pytest.raises(UserError, match="'tcp://here' is not"):
        preparation.main(["mtfl", "--source=.", "--scheduler=tcp://here"])
    with pytest.raises(UserError, match="is not tcp://HOST:PORT"):
        compare.main(["--scheduler=tcp://here:65536"])


def test_a_lost_scheduler_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    here = distributed.LocalCluster(
        n_workers=1,
        processes=False,
        dashboard_address=":0",
        local_directory=tmp_path,
    )
    with cluster.connect(here.scheduler_address) as client:
        ended = cluster.results(
            client, abs, ((-n,) for n in range(9)), lambda threads: 1
        )
        assert next(ended) == ((0,), 0, None)
        here.close()
        with pytest.raises(UserError, match="is lost; start it"):
            list(ended)


def test_every_call_ends_once_with_its_error(scheduler):
    tasks = [(text,) for text in ["1", "2", "x", "4"]]
    with cluster.connect(scheduler) as client:
        ended = {
            task: (result, error)
            for task, result, error in cluster.results(
                client, int, iter(tasks), len
            )
        }
    assert sorted(ended) == sorted(tasks)
    assert [ended[task][0] for task in tasks] == [1, 2, None, 4]
    error = cluster.explain(ended[tasks[2]][1])
    assert error.startswith("ValueError: invalid literal")


def test_a_call_that_ends_its_workers_is_given_up(scheduler):
    with cluster.connect(scheduler) as client:
        ended = cluster.results(client, os._exit, [(1,)], len)
        ((task, result, error),) = ended
    assert (task, result) == ((1,), None)
    text = "2 workers died of it, perhaps out of memory"
    assert cluster.explain(error) == text
