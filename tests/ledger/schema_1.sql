-- A ledger as version 1 of the schema wrote it: one execution that runs, one attempt settled, one open.
PRAGMA application_id = 1347374129;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE charges (
        hold INTEGER NOT NULL,
        place INTEGER NOT NULL,
        meter INTEGER NOT NULL,
        key TEXT NOT NULL,
        window TEXT NOT NULL,
        amount INTEGER NOT NULL,
        bound INTEGER,
        rule TEXT NOT NULL,
        incurred INTEGER,
        PRIMARY KEY (hold, place)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "charges" VALUES(2,0,1,'','2026-11',1,50,'support.policy:20:3',NULL);
INSERT INTO "charges" VALUES(3,0,2,'','2026-11-22',35000000,100000000,'support.policy:4:1',20000000);
INSERT INTO "charges" VALUES(3,1,3,'acme','2026-11-22',900,NULL,'',700);
INSERT INTO "charges" VALUES(3,2,4,'e1','',35000000,NULL,'',20000000);
INSERT INTO "charges" VALUES(4,0,2,'','2026-11-22',35000000,100000000,'support.policy:4:1',NULL);
INSERT INTO "charges" VALUES(4,1,3,'acme','2026-11-22',900,NULL,'',NULL);
INSERT INTO "charges" VALUES(4,2,4,'e1','',35000000,NULL,'',NULL);
CREATE TABLE counters (
        meter INTEGER NOT NULL,
        key TEXT NOT NULL,
        window TEXT NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0,
        reserved INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (meter, key, window)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "counters" VALUES(1,'','2026-11',0,1);
INSERT INTO "counters" VALUES(2,'','2026-11-22',20000000,35000000);
INSERT INTO "counters" VALUES(3,'acme','2026-11-22',700,900);
INSERT INTO "counters" VALUES(4,'e1','',20000000,35000000);
CREATE TABLE documents (
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, digest)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "documents" VALUES('policy','p1','currency USD
');
CREATE TABLE executions (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        customer TEXT NOT NULL,
        outcome TEXT NOT NULL,
        key TEXT NOT NULL,
        plan TEXT,
        lane TEXT NOT NULL,
        draw_kind TEXT NOT NULL,
        draw_grant TEXT,
        price_nanos INTEGER NOT NULL,
        given TEXT NOT NULL,
        policy_digest TEXT NOT NULL,
        price_digest TEXT NOT NULL,
        state TEXT NOT NULL,
        admitted_micros INTEGER NOT NULL,
        delivered_micros INTEGER,
        attempts INTEGER NOT NULL,
        spent_nanos INTEGER NOT NULL,
        handoff_nanos INTEGER NOT NULL,
        revenue_nanos INTEGER NOT NULL,
        owner TEXT NOT NULL,
        lease_micros INTEGER,
        version INTEGER NOT NULL,
        decision TEXT NOT NULL,
        UNIQUE (customer, outcome, key)
    ) STRICT;
INSERT INTO "executions" VALUES(1,'e1','acme','draft','ticket 1','growth','premium','pack','burst/acme/order 7',650000000,'{"risk": "high"}','p1','q1','running',1795348800000000,NULL,0,0,0,0,'worker 1',1795348860000000,0,'{}');
CREATE TABLE grants (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        customer TEXT NOT NULL,
        outcome TEXT NOT NULL,
        kind TEXT NOT NULL,
        units INTEGER NOT NULL,
        price_nanos INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        effective_micros INTEGER NOT NULL,
        expires_micros INTEGER NOT NULL,
        created_micros INTEGER NOT NULL,
        held INTEGER NOT NULL DEFAULT 0,
        consumed INTEGER NOT NULL DEFAULT 0
    ) STRICT;
INSERT INTO "grants" VALUES(1,'burst/acme/order 7','acme','draft','pack',100,650000000,0,1795348800000000,1803124800000000,1795348800000000,1,0);
CREATE TABLE holds (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        unit TEXT,
        owner TEXT NOT NULL,
        at_micros INTEGER NOT NULL,
        expires_micros INTEGER NOT NULL,
        execution TEXT NOT NULL,
        policy_digest TEXT NOT NULL,
        price_digest TEXT NOT NULL
    ) STRICT;
INSERT INTO "holds" VALUES(1,'e1/unit','held','burst/acme/order 7','worker 1',1795348800000000,9223372036854775807,'e1','p1','q1');
INSERT INTO "holds" VALUES(2,'e1/entry','held',NULL,'worker 1',1795348800000000,9223372036854775807,'e1','p1','q1');
INSERT INTO "holds" VALUES(3,'e1/1','settled',NULL,'worker 1',1795348800000001,1795348860000000,'e1','p1','q1');
INSERT INTO "holds" VALUES(4,'e1/2','held',NULL,'worker 1',1795348800000002,1795348860000000,'e1','p1','q1');
CREATE TABLE meters (
        id INTEGER PRIMARY KEY,
        quantity TEXT NOT NULL,
        block_kind TEXT NOT NULL,
        block_name TEXT NOT NULL,
        execution TEXT NOT NULL,
        key TEXT NOT NULL,
        window TEXT NOT NULL,
        UNIQUE (quantity, block_kind, block_name, execution, key, window)
    ) STRICT;
INSERT INTO "meters" VALUES(1,'count','file','','','','month');
INSERT INTO "meters" VALUES(2,'spent','file','','','','day');
INSERT INTO "meters" VALUES(3,'tokens','lane','premium','','customer','day');
INSERT INTO "meters" VALUES(4,'spent','file','','outcome','','');
CREATE INDEX grants_of ON grants (customer, outcome, expires_micros);
CREATE INDEX holds_due ON holds (expires_micros) WHERE state = 'held';
CREATE INDEX holds_of ON holds (execution) WHERE execution <> '';
COMMIT;
