//! Every way of failing is told in words that name the culprit, and leaves nothing behind.

use netlink::socket::{Answer, Protocol, Socket};
use nix::errno::Errno;

use super::build::Op;
use super::kernel_tests::in_fresh_netns;
use super::message::{self, Label, Messages};
use super::samples::*;
use super::sys::*;
use super::*;

/// The error of a batch, after which nothing is there.
fn refused(wanted: &Ruleset) -> Error {
    in_fresh_netns(|mut nft| {
        let error = nft.commit(&Batch::create(wanted).unwrap()).unwrap_err();
        assert_eq!(nft.dump("sluice").unwrap(), None, "{error}");
        error
    })
}

#[test]
fn a_missing_chain_is_named_with_its_rule_and_the_batch_leaves_nothing() {
    let good = RuleBuilder::new().counter().comment("good");
    let bad = RuleBuilder::new()
        .verdict(Verdict::Jump("nowhere".into()))
        .comment("config.linkerd.io/skip-outbound-ports");
    let error = refused(&small(vec![good.clone(), bad, good]));
    assert_eq!(
        error.to_string(),
        "the kernel refused rule 2 of chain output (\"config.linkerd.io/skip-outbound-ports\"), \
         expressions[0] immediate: ENOENT: No such file or directory"
    );
}

#[test]
fn a_missing_set_is_named_with_its_rule() {
    let bad = RuleBuilder::new().l4proto(Op::Eq, 6).dport(Op::Eq, build::Of::Set("none".into())).comment("x");
    let Error::Refused(refusal) = refused(&small(vec![bad])) else { panic!() };
    assert_eq!(refusal.errno, Errno::ENOENT);
    assert_eq!(refusal.at.as_deref(), Some("expressions[3] lookup"));
    assert_eq!(refusal.missing, None);
}

#[test]
fn an_expression_that_the_kernel_lacks_is_named() {
    let bad =
        RuleBuilder::new().counter().expr(Expr::Other { name: "sluice".into(), data: vec![] }).comment("x");
    let error = refused(&small(vec![bad]));
    assert!(error.to_string().contains("expressions[1] sluice"), "{error}");
}

#[test]
fn the_first_of_thousands_of_errors_is_told() {
    let bad = |n| RuleBuilder::new().verdict(Verdict::Jump(format!("none{n}"))).comment("bad");
    let error = refused(&small((0..20_000).map(bad).collect()));
    assert!(error.to_string().contains("rule 1 of chain output"), "{error}");
}

#[test]
fn what_cannot_be_encoded_is_named_before_any_socket() {
    let say = |change: &dyn Fn(&mut Ruleset)| {
        let mut wanted = everything();
        change(&mut wanted);
        Batch::create(&wanted).unwrap_err().to_string()
    };
    assert_eq!(
        say(&|r| r.comment = Some("x".repeat(129))),
        "table inet sluice: the comment is longer than 128 bytes"
    );
    assert_eq!(
        say(&|r| r.sets[0].elements[0].key = vec![1]),
        "elements of set ports: a key or value has not the length of its type"
    );
    assert_eq!(
        say(&|r| r.sets[0].elements[1].end = Some(port(1))),
        "elements of set ports: a range ends before it starts"
    );
    assert_eq!(
        say(&|r| r.chains[0].rules[0].exprs.push(Expr::Immediate { dreg: Reg(16), data: vec![] })),
        "rule 1 of chain output (\"lo\"): there is no such register"
    );
    assert_eq!(say(&|r| r.chains[5].name = "output".into()), "chain output: the name is used twice");
    let long = Expr::Other { name: "x".into(), data: vec![0; 70_000] };
    assert!(say(&|r| r.chains[5].rules[0].exprs.push(long.clone())).contains("longer than 65,531 bytes"));
}

/// What the kernel would say of the message with that sequence number, at that offset.
fn said(batch: &Batch<'_>, seq: u32, errno: Errno, offset: Option<usize>) -> String {
    let answer = Answer { errno: Some(errno), text: None, offset };
    refusal::refusal(batch, seq, answer).unwrap().to_string()
}

#[test]
fn what_the_kernel_lacks_is_told_with_its_module() {
    let rule = RuleBuilder::new().l4proto(Op::Eq, 6).tproxy(15006).comment("inbound");
    let wanted = small(vec![rule]);
    let batch = Batch::create(&wanted).unwrap();
    // The body begins at 16: the chain, then its rule.
    let (_, message) = batch.message(17).unwrap();
    let name = message.windows(7).position(|bytes| bytes == b"tproxy\0").unwrap();
    assert_eq!(
        said(&batch, 17, Errno::ENOENT, Some(name - 8)),
        "the kernel refused rule 1 of chain output (\"inbound\"), expressions[3] tproxy: ENOENT: No such file or \
         directory; load the kernel module nft_tproxy (CONFIG_NFT_TPROXY)"
    );
    assert!(!said(&batch, 17, Errno::ENOENT, Some(name + 20)).contains("module"), "an attribute further in");
    assert!(said(&batch, 16, Errno::ENOENT, None).ends_with(
        "chain output: ENOENT: No such file or directory; \
         load the kernel module nft_chain_nat (CONFIG_NFT_NAT)"
    ));
    assert!(
        said(&batch, 0, Errno::EOPNOTSUPP, None)
            .ends_with("load the kernel module nf_tables (CONFIG_NF_TABLES)")
    );
    assert!(said(&batch, 0, Errno::EPERM, None).contains("CAP_NET_ADMIN"));
}

#[test]
fn offsets_and_numbers_that_make_no_sense_are_only_left_out() {
    let wanted = everything();
    let batch = Batch::create(&wanted).unwrap();
    for seq in 0..100 {
        for offset in (0..400).chain([usize::MAX]) {
            assert!(!said(&batch, seq, Errno::EINVAL, Some(offset)).is_empty());
        }
    }
}

/// Makes a table that nobody but this socket may change.
fn own(table: &str) -> Socket {
    let socket = Socket::open(Protocol::Netfilter).unwrap();
    let mut out = Messages::new(0);
    let frame = |out: &mut Messages, kind| {
        out.raw(kind, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, Label::Frame, |_| ());
    };
    frame(&mut out, NFNL_MSG_BATCH_BEGIN);
    out.message(NFT_MSG_NEWTABLE, message::CREATE, Label::Table, |w| {
        w.str(NFTA_TABLE_NAME, table);
        w.u32(NFTA_TABLE_FLAGS, 2);
    });
    frame(&mut out, NFNL_MSG_BATCH_END);
    socket.send(&[&out.writer.bytes]).unwrap();
    socket
}

#[test]
fn a_table_with_an_owner_is_called_so() {
    let wanted = small(vec![]);
    in_fresh_netns(|mut nft| {
        let owner = own("sluice");
        let found = nft.dump("sluice").unwrap().unwrap();
        if found.foreign.is_empty() {
            return; // Before 5.12 there are no owners.
        }
        assert_eq!(found.foreign[0].to_string(), "table inet sluice: has flags owner");
        for batch in [Batch::create(&wanted), Batch::replace(&wanted), Batch::delete("sluice")] {
            let error = nft.commit(&batch.unwrap()).unwrap_err().to_string();
            assert!(error.contains("flags owner") && !error.contains("CAP_NET_ADMIN"), "{error}");
        }
        drop(owner);
    });
}
