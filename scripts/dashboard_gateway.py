"""The Gateway dashboard: flow, answers, journal, database, processes."""

from dashboard_panels import (
    ONE_IS_GOOD,
    PROMETHEUS,
    SHARES,
    ZERO_IS_GOOD,
    Panel,
    ask,
    ask_now,
    dashboard,
    lines,
    on_the_right,
    row,
    source_variable,
    stat,
)

INSTANCE = 'instance=~"$instance"'
NAMED = "{{instance}}"
ACKS, FSYNC = "hj212gw_ack_duration_seconds", "hj212gw_journal_fsync_duration_seconds"


def make_gateway() -> Panel:
    """Make the dashboard of flow, answers, journal, database and processes."""
    groups = (_show_now, _show_flow, _show_answers, _show_journal, _show_database, _show_processes)
    panels = [each for show in groups for each in show()]
    variables = [source_variable("prometheus", "prometheus", "Prometheus"), instance_variable()]
    return dashboard("hj212gw-gateway", "Gateway · 网关", variables, panels, since="now-6h", refresh="30s")


def instance_variable() -> Panel:
    """Make the variable of the gateway's processes."""
    query = {"query": "label_values(hj212gw_build_info, instance)", "refId": "instance"}
    base = {"name": "instance", "label": "Process · 进程", "type": "query", "datasource": PROMETHEUS, "query": query}
    current = {"text": ["All"], "value": ["$__all"]}
    more = {"multi": True, "includeAll": True, "allValue": ".*", "current": current}
    return {**base, "definition": query["query"], "refresh": 2, "sort": 1, "hide": 0, "regex": "", **more}


def rate(name: str, matchers: str = "") -> str:
    """Write how fast a counter of the gateway grows."""
    return f"rate(hj212gw_{name}_total{{{INSTANCE}{matchers}}}[$__rate_interval])"


def gauge(name: str) -> str:
    """Write a gauge or a recorded series of the gateway."""
    return f"{name}{{{INSTANCE}}}"


def known(name: str) -> str:
    """Write a gauge that one panel shows the value of: a process that has none of it, where it is NaN, is left out."""
    return f"{gauge(name)} >= 0"


def quantile(share: float, name: str, *labels: str) -> str:
    """Write a quantile of a histogram of the gateway."""
    by = ", ".join(("instance", *labels, "le"))
    return f"histogram_quantile({share}, sum by ({by}) (rate({name}_bucket{{{INSTANCE}}}[$__rate_interval])))"


def _show_now() -> list[Panel]:
    """Say how it is."""
    return [
        row("Now · 当前"),
        stat(
            "Ready · 就绪",
            [ask_now(f'hj212gw_ready{{job="hj212gw-gateway", {INSTANCE}}}', NAMED)],
            4,
            steps=ONE_IS_GOOD,
        ),
        stat("Database away · 数据库中断", [ask_now(known("hj212gw_store_away"), NAMED)], 4, steps=ZERO_IS_GOOD),
        stat(
            "Alerts firing · 告警",
            [ask_now('count(ALERTS{alertname=~"Hj212.*", alertstate="firing"}) or vector(0)', "firing")],
            4,
            steps=ZERO_IS_GOOD,
        ),
        stat("Open connections · 连接数", [ask_now(known("hj212gw_sessions_open"), NAMED)], 4),
        stat(
            "Journal waits for database · 日志积压",
            [ask_now(known("hj212gw:journal:used_ratio"), NAMED)],
            4,
            unit="percentunit",
            steps=SHARES,
        ),
        stat(
            "Journal's disk free · 磁盘剩余",
            [ask_now(known("hj212gw:journal_disk:free_ratio"), NAMED)],
            4,
            unit="percentunit",
            steps=((None, "red"), (0.1, "orange"), (0.3, "green")),
        ),
    ]


def _show_flow() -> list[Panel]:
    """Show what comes and is stored."""
    return [
        row("Flow · 流量"),
        lines(
            "Packets · 数据包",
            [
                ask(rate("frames_accepted"), f"accepted {NAMED}"),
                ask(rate("packets_stored"), f"stored {NAMED}"),
                ask(rate("packets_repeated"), f"repeated {NAMED}"),
            ],
            unit="pps",
        ),
        lines("Readings stored · 入库监测值", [ask(rate("readings_stored"), NAMED)], unit="cps"),
        lines(
            "Rejected by reason · 拒收原因",
            [ask(f"sum by (reason) ({rate('frames_rejected')})", "{{reason}}")],
            unit="pps",
        ),
    ]


def _show_answers() -> list[Panel]:
    """Show answers and connections."""
    return [
        row("Answers · 应答"),
        lines(
            "Answer time · 应答时间",
            [ask(quantile(share, ACKS), f"p{share * 100:g} {NAMED}") for share in (0.5, 0.99)],
            unit="s",
            steps=((None, "green"), (1, "red")),
        ),
        lines("Answers sent · 应答", [ask(f"sum by (cn) ({rate('acks_sent')})", "{{cn}}")], unit="pps"),
        lines(
            "Connections · 连接",
            [
                ask(gauge("hj212gw_sessions_open"), f"open {NAMED}"),
                ask(gauge("hj212gw_sessions_limit"), f"limit {NAMED}"),
                ask(rate("sessions_opened"), f"opened a second {NAMED}"),
            ],
            overrides=[on_the_right("/^limit/")],
        ),
    ]


def _show_journal() -> list[Panel]:
    """Show the journal and its disk."""
    return [
        row("Journal · 日志"),
        lines(
            "Waiting for the database · 待入库",
            [ask(gauge("hj212gw_journal_pending_packets"), f"packets {NAMED}")],
        ),
        lines(
            "Age of the oldest · 最早积压时长",
            [ask(gauge("hj212gw:journal_pending:age_seconds"), NAMED)],
            unit="s",
            steps=((None, "green"), (600, "red")),
        ),
        lines(
            "Journal and disk · 日志与磁盘",
            [
                ask(gauge("hj212gw_journal_size_bytes"), f"files {NAMED}"),
                ask(gauge("hj212gw_journal_pending_bytes"), f"pending {NAMED}"),
                ask(gauge("hj212gw_journal_limit_bytes"), f"limit {NAMED}"),
                ask(gauge("hj212gw_journal_disk_free_bytes"), f"disk free {NAMED}"),
            ],
            unit="bytes",
            overrides=[on_the_right("/^(limit|disk free)/")],
        ),
        lines("Time of an fsync · 落盘时间", [ask(quantile(0.99, FSYNC), f"p99 {NAMED}")], unit="s"),
    ]


def _show_database() -> list[Panel]:
    """Show what the database is given."""
    return [
        row("Database · 数据库"),
        lines(
            "Time of a batch · 入库批次时间",
            [ask(quantile(0.9, "hj212gw_store_batch_duration_seconds", "path"), "p90 {{path}} {{instance}}")],
            unit="s",
        ),
        lines(
            "Batches tried again, faults · 重试与故障",
            [
                ask(rate("store_retries"), f"retries {NAMED}"),
                ask(f"sum by (reason) ({rate('store_failures')})", "{{reason}}"),
                ask(f"sum by (what) ({rate('faults_contained')})", "contained {{what}}"),
            ],
        ),
    ]


def _show_processes() -> list[Panel]:
    """Show what the processes use."""
    return [
        row("Processes · 进程"),
        lines("Memory · 内存", [ask(gauge("process_resident_memory_bytes"), NAMED)], unit="bytes"),
        lines(
            "Processor · 处理器",
            [ask(f"rate(process_cpu_seconds_total{{{INSTANCE}}}[$__rate_interval])", NAMED)],
            unit="percentunit",
        ),
        lines(
            "Open files · 打开文件",
            [ask(gauge("process_open_fds"), f"open {NAMED}"), ask(gauge("process_max_fds"), f"limit {NAMED}")],
            overrides=[on_the_right("/^limit/")],
        ),
    ]
