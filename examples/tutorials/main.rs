//! The tutorials of RocketMQ's Java client, with this crate: one short file for each, under the same
//! names.
//!
//! ```text
//! cargo run --example tutorials -- --list
//! cargo run --example tutorials -- SplitBatchProducer
//! cargo run --example tutorials -- quickstart/Producer --name-server 127.0.0.1:9876
//! cargo run --all-features --example tutorials -- --all
//! ```
//!
//! Each prints what the Java one does, receipts mostly; those of producers also what consumers would see,
//! where the cluster is inside this process. Those of consumers send themselves what they consume, and end
//! when they have it.

#[cfg(feature = "acl")]
mod acl_client;
mod async_producer;
mod async_request_producer;
mod broadcast_push_consumer;
#[path = "../common/example.rs"]
mod example;
#[path = "../common/feed.rs"]
mod feed;
mod lite_pull_consumer_assign;
mod lite_pull_consumer_assign_with_sub_expression;
mod lite_pull_consumer_subscribe;
mod lmq_producer;
mod oneway_producer;
mod order_consumer;
mod order_producer;
mod producer_with_namespace;
mod pull_consumer_with_namespace;
mod push_consumer_with_namespace;
mod quickstart_consumer;
mod quickstart_producer;
#[path = "../common/replier.rs"]
mod replier;
mod request_producer;
mod response_consumer;
mod scheduled_message_consumer;
mod scheduled_message_producer;
mod simple_batch_producer;
mod simple_producer;
mod simple_push_consumer;
mod split_batch_producer;
mod sql_filter_consumer;
mod sql_filter_producer;
mod tag_filter_consumer;
mod tag_filter_producer;
mod timer_message_consumer;
mod timer_message_producer;
#[cfg(feature = "tls")]
mod tls_producer;
mod trace_producer;
mod trace_pull_consumer;
mod trace_push_consumer;
mod transaction_producer;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;

/// Runs the tutorials of RocketMQ's Java client, with this crate.
///
/// A tutorial is named as its Java class, with its package where there are several of that name:
/// SplitBatchProducer, quickstart/Producer. Without a name, all are listed.
#[derive(Parser)]
#[command(name = "tutorials")]
struct Args {
    /// The tutorials to run
    #[arg(value_name = "NAME", value_parser = find)]
    names: Vec<&'static Tutorial>,

    /// Run all that this build can
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// List the tutorials, with the cargo feature that one needs
    #[arg(long, conflicts_with_all = ["names", "all"])]
    list: bool,

    #[command(flatten)]
    servers: example::Servers,
}

/// Runs a tutorial against these name servers, which are those of the cluster if there is one.
type Run = fn(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>>;

struct Tutorial {
    /// Package and class in Java.
    name: &'static str,
    teaches: &'static str,
    run: Need,
}

#[derive(Clone, Copy)]
enum Need {
    Nothing(Run),
    /// A cargo feature, and the tutorial if this build has it.
    Feature(&'static str, Option<Run>),
}

use Need::{Feature, Nothing};

const TUTORIALS: &[Tutorial] = &[
    Tutorial {
        name: "quickstart/Producer",
        teaches: "a message with a tag and its own timeout",
        run: Nothing(quickstart_producer::run),
    },
    Tutorial {
        name: "quickstart/Consumer",
        teaches: "a handler for each message",
        run: Nothing(quickstart_consumer::run),
    },
    Tutorial {
        name: "simple/Producer",
        teaches: "a message with a key, found again by it",
        run: Nothing(simple_producer::run),
    },
    Tutorial {
        name: "simple/AsyncProducer",
        teaches: "results that come to callbacks",
        run: Nothing(async_producer::run),
    },
    Tutorial {
        name: "simple/OnewayProducer",
        teaches: "messages without answers, and how to flush them",
        run: Nothing(oneway_producer::run),
    },
    Tutorial {
        name: "simple/PushConsumer",
        teaches: "several messages at once, since a time",
        run: Nothing(simple_push_consumer::run),
    },
    Tutorial {
        name: "simple/LitePullConsumerSubscribe",
        teaches: "polling",
        run: Nothing(lite_pull_consumer_subscribe::run),
    },
    Tutorial {
        name: "simple/LitePullConsumerAssign",
        teaches: "queues chosen by hand, and commits",
        run: Nothing(lite_pull_consumer_assign::run),
    },
    Tutorial {
        name: "simple/LitePullConsumerAssignWithSubExpression",
        teaches: "the same with a filter",
        run: Nothing(lite_pull_consumer_assign_with_sub_expression::run),
    },
    Tutorial {
        name: "batch/SimpleBatchProducer",
        teaches: "a few messages in one request",
        run: Nothing(simple_batch_producer::run),
    },
    Tutorial {
        name: "batch/SplitBatchProducer",
        teaches: "a hundred thousand messages in few requests",
        run: Nothing(split_batch_producer::run),
    },
    Tutorial {
        name: "ordermessage/Producer",
        teaches: "a queue selector, with order numbers",
        run: Nothing(order_producer::run),
    },
    Tutorial {
        name: "ordermessage/Consumer",
        teaches: "queues that keep their order",
        run: Nothing(order_consumer::run),
    },
    Tutorial {
        name: "broadcast/PushConsumer",
        teaches: "every message for every consumer",
        run: Nothing(broadcast_push_consumer::run),
    },
    Tutorial {
        name: "schedule/ScheduledMessageProducer",
        teaches: "messages that come later, by a delay level",
        run: Nothing(scheduled_message_producer::run),
    },
    Tutorial {
        name: "schedule/ScheduledMessageConsumer",
        teaches: "messages that were delayed by a level",
        run: Nothing(scheduled_message_consumer::run),
    },
    Tutorial {
        name: "schedule/TimerMessageProducer",
        teaches: "messages that come at a time",
        run: Nothing(timer_message_producer::run),
    },
    Tutorial {
        name: "schedule/TimerMessageConsumer",
        teaches: "messages that come at a time",
        run: Nothing(timer_message_consumer::run),
    },
    Tutorial {
        name: "transaction/TransactionProducer",
        teaches: "transactions whose end the broker must check",
        run: Nothing(transaction_producer::run),
    },
    Tutorial {
        name: "rpc/RequestProducer",
        teaches: "a question, and waiting for its answer",
        run: Nothing(request_producer::run),
    },
    Tutorial {
        name: "rpc/AsyncRequestProducer",
        teaches: "a question whose answer goes to a callback",
        run: Nothing(async_request_producer::run),
    },
    Tutorial {
        name: "rpc/ResponseConsumer",
        teaches: "replies to questions",
        run: Nothing(response_consumer::run),
    },
    Tutorial {
        name: "filter/TagFilterProducer",
        teaches: "tags, by which consumers filter",
        run: Nothing(tag_filter_producer::run),
    },
    Tutorial {
        name: "filter/TagFilterConsumer",
        teaches: "a filter by tags",
        run: Nothing(tag_filter_consumer::run),
    },
    Tutorial {
        name: "filter/SqlFilterProducer",
        teaches: "properties, by which consumers filter with SQL",
        run: Nothing(sql_filter_producer::run),
    },
    Tutorial {
        name: "filter/SqlFilterConsumer",
        teaches: "a filter by a condition on properties",
        run: Nothing(sql_filter_consumer::run),
    },
    Tutorial {
        name: "lmq/LMQProducer",
        teaches: "one message in several light queues",
        run: Nothing(lmq_producer::run),
    },
    Tutorial {
        name: "namespace/ProducerWithNamespace",
        teaches: "a namespace that requests carry",
        run: Nothing(producer_with_namespace::run),
    },
    Tutorial {
        name: "namespace/PushConsumerWithNamespace",
        teaches: "a namespace in names",
        run: Nothing(push_consumer_with_namespace::run),
    },
    Tutorial {
        name: "namespace/PullConsumerWithNamespace",
        teaches: "a namespace that requests carry, and no commits",
        run: Nothing(pull_consumer_with_namespace::run),
    },
    Tutorial {
        name: "tracemessage/TraceProducer",
        teaches: "a record of every message, in the broker",
        run: Nothing(trace_producer::run),
    },
    Tutorial {
        name: "tracemessage/TracePushConsumer",
        teaches: "records of how each message was consumed",
        run: Nothing(trace_push_consumer::run),
    },
    Tutorial {
        name: "tracemessage/TracePullConsumer",
        teaches: "the same of polled messages",
        run: Nothing(trace_pull_consumer::run),
    },
    Tutorial {
        name: "simple/AclClient",
        teaches: "signed requests",
        #[cfg(feature = "acl")]
        run: Feature("acl", Some(acl_client::run)),
        #[cfg(not(feature = "acl"))]
        run: Feature("acl", None),
    },
    Tutorial {
        name: "tls/TlsProducer",
        teaches: "secured connections (Java has the setting, but no class)",
        #[cfg(feature = "tls")]
        run: Feature("tls", Some(tls_producer::run)),
        #[cfg(not(feature = "tls"))]
        run: Feature("tls", None),
    },
];

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let wanted: Vec<&Tutorial> = match args.all {
        true => TUTORIALS.iter().collect(),
        false => args.names,
    };
    if wanted.is_empty() {
        list();
        return Ok(());
    }
    for (i, tutorial) in wanted.into_iter().enumerate() {
        if i > 0 {
            println!();
        }
        println!("# {}: {}", tutorial.name, tutorial.teaches);
        let cluster = Cluster::builder()
            .hold_delayed_messages(true)
            .sql_filters(true);
        let (name_server, cluster) = args.servers.given_or(cluster)?;
        match tutorial.run {
            Nothing(run) | Feature(_, Some(run)) => run(&name_server, cluster.as_ref())?,
            Feature(feature, None) => println!("skipped: it needs --features {feature}"),
        }
    }
    Ok(())
}

fn list() {
    for Tutorial { name, teaches, run } in TUTORIALS {
        let needs = match run {
            Nothing(_) => String::new(),
            Feature(feature, Some(_)) => format!(" [feature {feature}]"),
            Feature(feature, None) => format!(" [feature {feature}: not in this build]"),
        };
        println!("{name:<48} {teaches}{needs}");
    }
}

/// The tutorial of this name, if this build can run it.
fn find(name: &str) -> Result<&'static Tutorial, String> {
    let is_meant = |tutorial: &&Tutorial| {
        let (_, class) = tutorial.name.rsplit_once('/').unwrap_or_default();
        name == tutorial.name || name == class
    };
    let found: Vec<&Tutorial> = TUTORIALS.iter().filter(is_meant).collect();
    match found[..] {
        [tutorial] => match tutorial.run {
            Feature(feature, None) => Err(format!(
                "needs cargo run --features {feature} --example tutorials -- {name}"
            )),
            _ => Ok(tutorial),
        },
        [] => Err("there is none; --list shows all".to_owned()),
        _ => {
            let names: Vec<&str> = found.iter().map(|tutorial| tutorial.name).collect();
            Err(format!("which one? {}", names.join(", ")))
        }
    }
}
